import { describe, expect, test } from 'vitest'
import { join, openSession, pair } from './client.ts'
import { ack, data } from './device.ts'
import { expectClosed, stateOf } from './documented.ts'
import { hasNodes, type Relay } from './relay.ts'

/** PROTOCOL.md, section 5.4: sockets come and go, frames do not. */
export function resume(relay: Relay): void {
  describe('resuming', () => {
    test('a reader that attaches again gets everything behind its received, the identical bytes', async () => {
      const { receiver, S, R } = await pair(relay)
      const sent = [1, 2, 3, 4, 5].map((seq) => data(1, seq, Buffer.alloc(1_000 * seq, seq)))
      S.send(...sent)
      expect(await R.dataThrough(1, 5)).toEqual(sent)
      R.cut()
      const again = await receiver.attach([{ channel: 1, received: 2, acked: 0 }])
      expect(await again.dataThrough(1, 5)).toEqual(sent.slice(2))
      again.cut()
      const onceMore = await receiver.attach([{ channel: 1, received: 2, acked: 0 }])
      expect(await onceMore.dataThrough(1, 5)).toEqual(sent.slice(2))
    })

    test('the received of an attach is an ack: the peer hears it, and its window is free again', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'), data(1, 3, 'c'))
      await R.dataThrough(1, 3)
      R.cut()
      await receiver.attach([{ channel: 1, received: 2, acked: 0 }])
      while ((await S.nextAck()) !== '1/2');
      expect((await sender.view()).channels).toMatchObject([{ received: 3, acked: 2 }])
    })

    test('frames that were acked do not come back, whatever the attach says', async () => {
      const { receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'), data(1, 3, 'c'))
      await R.dataThrough(1, 3)
      R.send(ack(1, 2))
      while ((await S.nextAck()) !== '1/2');
      R.cut()
      const attacker = await receiver.attach([{ channel: 1, received: 0, acked: 0 }])
      expect((await attacker.nextData()).bytes).toEqual(data(1, 3, 'c'))
      S.send(data(1, 4, 'd'))
      expect((await attacker.nextData()).seq).toBe(4)
      expect(attacker.count('data')).toBe(2)
    })

    test('a writer that attaches again learns from the first view what the relay holds, and continues there', async () => {
      const { sender, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'), data(1, 3, 'c'))
      await R.dataThrough(1, 3)
      R.send(ack(1, 1))
      while ((await S.nextAck()) !== '1/1');
      S.cut()
      const again = await sender.attach([{ channel: 1, received: 0, acked: 1 }])
      const [first] = again.messages
      expect(first).toMatchObject({ kind: 'view', view: { channels: [{ channel: 1, received: 3, acked: 1 }] } })
      again.send(data(1, 2, 'b'), data(1, 3, 'c'), data(1, 4, 'd'))
      expect((await R.nextData()).bytes).toEqual(data(1, 4, 'd'))
      expect(R.count('data')).toBe(4)
    })

    test('the acked of a writer’s attach acks nothing in a direction that the relay has', async () => {
      const { sender, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'))
      await R.dataThrough(1, 2)
      S.cut()
      const attacker = await sender.attach([{ channel: 1, received: 0, acked: 2 }])
      expect(attacker.messages[0]).toMatchObject({ view: { channels: [{ received: 2, acked: 0 }] } })
      attacker.cut()
      const again = await sender.attach([{ channel: 1, received: 0, acked: 6 }])
      expect(again.messages[0]).toMatchObject({ view: { channels: [{ received: 2, acked: 0 }] } })
      again.send(data(1, 7, 'g'))
      await expectClosed(again, 'invalid_frame')
      expect(R.count('data')).toBe(2)
    })

    test('a receiver that begins behind its first frame is told of the gap, and the sender of nothing', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const S = await sender.attach()
      const attacker = await receiver.attach([{ channel: 1, received: 0, acked: 1 }])
      expect(attacker.messages[0]).toMatchObject({ view: { channels: [{ received: 0, acked: 0 }] } })
      attacker.send(data(1, 2, 'm3 without m1'))
      await expectClosed(attacker, 'invalid_frame')
      expect(S.count('data')).toBe(0)
    })

    test('acks of a time when the writer was away are in its first view', async () => {
      const { sender, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'))
      await R.dataThrough(1, 2)
      S.cut()
      await R.nextView((view) => view.senderPresent === false)
      R.send(ack(1, 2), data(1, 1, 'fence'))
      const again = await sender.attach([{ channel: 1, received: 0, acked: 0 }])
      expect((await again.nextData()).seq).toBe(1)
      expect((await sender.view()).channels).toMatchObject([{ received: 2, acked: 2 }])
    })

    test('a long transfer over many dropped sockets on both sides arrives whole and in order', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      const total = 60
      const frame = (seq: number) => data(1, seq, Buffer.alloc(20_000, seq))
      const arrived: Buffer[] = []
      let [writing, reading, acked] = [S, R, 0]
      for (let seq = 1; seq <= total; seq++) {
        writing.send(frame(seq))
        if (seq % 7 === 0) {
          writing.cut()
          writing = await sender.attach([{ channel: 1, received: 0, acked }])
          const [{ view }] = writing.messages as { view: Awaited<ReturnType<typeof sender.view>> }[]
          const { received } = view.channels[0]
          expect(received).toBeGreaterThanOrEqual(acked)
          for (let again = received + 1; again <= seq; again++) writing.send(frame(again))
        }
        if (seq % 10 === 0) {
          reading.cut()
          reading = await receiver.attach([{ channel: 1, received: arrived.length, acked: 0 }])
          acked = arrived.length
        }
        if (seq % 3 === 0) {
          while (arrived.length < seq) {
            const { seq: next, bytes } = await reading.nextData()
            if (next === arrived.length + 1) arrived.push(bytes)
          }
        }
      }
      expect(arrived).toEqual(Array.from({ length: total }, (_, i) => frame(i + 1)))
    })

    test('replaying recorded frames delivers nothing twice, on the old socket, on a new one, or from the peer', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      const recorded = [data(1, 1, 'a'), data(1, 2, 'b'), data(1, 3, 'c')]
      S.send(...recorded)
      await R.dataThrough(1, 3)
      R.send(ack(1, 3))
      while ((await S.nextAck()) !== '1/3');
      S.send(...recorded)
      const attacker = await sender.attach([{ channel: 1, received: 0, acked: 0 }])
      attacker.send(...recorded, data(1, 4, 'd'))
      expect((await R.nextData()).seq).toBe(4)
      expect(R.count('data')).toBe(4)
      R.send(...recorded)
      const reflected = await attacker.dataThrough(1, 3)
      expect(reflected).toEqual(recorded)
      expect((await receiver.view()).channels).toMatchObject([{ received: 3, acked: 0 }])
      expect(R.count('data')).toBe(4)
    })

    test('a window stays what it was across sockets, and still binds', async () => {
      const { sender, receiver, S } = await pair(relay)
      const { maxFrameBytes } = sender.limits
      S.send(data(1, 1, Buffer.alloc(maxFrameBytes - 8)))
      const grown = (await S.nextView(({ channels }) => channels[0].window > maxFrameBytes)).channels[0].window
      S.cut()
      const again = await sender.attach([{ channel: 1, received: 0, acked: 0 }])
      const window = hasNodes ? maxFrameBytes : grown
      expect(again.messages[0]).toMatchObject({ view: { channels: [{ received: 1, window }] } })
      const attacker = await receiver.attach()
      const limit = (await receiver.view()).channels[0].window
      const tooMany = Array.from({ length: Math.floor(receiver.limits.windowBytes / 256) + 1 }, (_, i) =>
        data(1, i + 1, 'x'),
      )
      expect(limit).toBe(maxFrameBytes)
      attacker.send(...tooMany)
      await expectClosed(attacker, 'window_exceeded')
      // A node that has to ask a store may refuse before it has taken what the window would have grown for.
      if (hasNodes) return
      expect((await receiver.view()).channels).toMatchObject([{ received: tooMany.length - 1, acked: 0 }])
    })

    test('each receiver resumes on its own', async () => {
      const { sender, receivers, S, Rs } = await pair(relay, 2)
      S.send(data(1, 1, 'a'), data(2, 1, 'b'))
      await Rs[0].nextData()
      await Rs[1].nextData()
      Rs[1].cut()
      await S.nextView((view) => view.receivers[1].present === false)
      S.send(data(1, 2, 'c'), data(2, 2, 'd'))
      expect((await Rs[0].nextData()).seq).toBe(2)
      const again = await receivers[1].attach([{ channel: 2, received: 1, acked: 0 }])
      expect((await again.nextData()).bytes).toEqual(data(2, 2, 'd'))
      const state = stateOf(await sender.view())
      expect(state.channels).toMatchObject([
        { channel: 1, received: 2, acked: 0 },
        { channel: 2, received: 2, acked: 1 },
      ])
    })
  })
}
