import { describe, expect, test } from 'vitest'
import { attachBoth, join, openSession, pair, type Sender } from './client.ts'
import { ack, data } from './device.ts'
import { expectClosedFor, stateOf } from './documented.ts'
import { RawConnection, TEXT, wsFrame } from './raw.ts'
import type { Relay } from './relay.ts'
import { fillWindow } from './windows.ts'

/** PROTOCOL.md, sections 5.3, 5.6 and 5.7: data, acks, and channels that are not approved. */
export function frames(relay: Relay): void {
  describe('data and acks', () => {
    test('every byte arrives as it was sent, in order, in both directions at once', async () => {
      const { S, R } = await pair(relay)
      const sizes = [1, 2, 7, 8, 255, 256, 1_023, 65_535, 100_000]
      const framesOf = (fill: number) => sizes.map((size, i) => data(1, i + 1, Buffer.alloc(size, fill + i)))
      const [fromS, fromR] = [framesOf(10), framesOf(100)]
      S.send(...fromS)
      R.send(...fromR)
      expect(await R.dataThrough(1, sizes.length)).toEqual(fromS)
      expect(await S.dataThrough(1, sizes.length)).toEqual(fromR)
    })

    test('several receivers at once get each its own frames and no other', async () => {
      const { receivers, S, Rs } = await pair(relay, 3)
      for (let seq = 1; seq <= 20; seq++) {
        for (const { channel } of receivers) S.send(data(channel, seq, `channel ${channel}, frame ${seq}`))
      }
      for (const [i, R] of Rs.entries()) R.send(data(i + 1, 1, `from ${i + 1}`))
      for (const [i, R] of Rs.entries()) {
        const expected = Array.from({ length: 20 }, (_, n) => data(i + 1, n + 1, `channel ${i + 1}, frame ${n + 1}`))
        expect(await R.dataThrough(i + 1, 20)).toEqual(expected)
        expect(R.count('data')).toBe(20)
      }
      const back = [await S.nextData(), await S.nextData(), await S.nextData()]
      expect(back.map(({ bytes }) => bytes.toString('latin1', 8)).sort()).toEqual(['from 1', 'from 2', 'from 3'])
    })

    test('an ack goes end to end: the relay passes it on and says nothing of its own', async () => {
      const { sender, S, R } = await pair(relay)
      const acksBefore = S.count('ack')
      S.send(data(1, 1, 'a'), data(1, 2, 'b'), data(1, 3, 'c'))
      await R.dataThrough(1, 3)
      expect((await sender.view()).channels).toMatchObject([{ received: 3, acked: 0 }])
      expect(S.count('ack')).toBe(acksBefore)
      R.send(ack(1, 2))
      while ((await S.nextAck()) !== '1/2');
      expect((await sender.view()).channels).toMatchObject([{ received: 3, acked: 2 }])
    })

    test('an ack that says nothing new is not passed on', async () => {
      const { S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'))
      await R.dataThrough(1, 2)
      const from = S.messages.length
      R.send(ack(1, 1), ack(1, 1), ack(1, 0), ack(1, 2), ack(1, 1))
      R.send(data(1, 1, 'fence'))
      await S.nextData()
      const acks = S.messages.slice(from).flatMap((message) => (message.kind === 'ack' ? [message.seq] : []))
      expect([[1, 2], [2]]).toContainEqual(acks)
    })

    test('a duplicate is dropped and answered with the cumulative ack', async () => {
      const { sender, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'))
      await R.dataThrough(1, 2)
      R.send(ack(1, 1))
      while ((await S.nextAck()) !== '1/1');
      const attacker = S
      for (const seq of [1, 2]) {
        attacker.send(data(1, seq, 'another text'))
        expect(await attacker.nextAck()).toBe('1/1')
      }
      expect((await sender.view()).channels).toMatchObject([{ received: 2, acked: 1 }])
      S.send(data(1, 3, 'c'))
      expect((await R.nextData()).seq).toBe(3)
      expect(R.count('data')).toBe(3)
    })

    test('a duplicate of a frame nobody acked is answered with ack 0', async () => {
      const { receiver, R } = await pair(relay)
      R.send(data(1, 1, 'a'), data(1, 1, 'a'))
      expect(await R.nextAck()).toBe('1/0')
      expect((await receiver.view()).channels).toMatchObject([{ received: 1, acked: 0 }])
    })

    test('what is sent while the peer is away waits for it', async () => {
      const { receiver, S, R } = await pair(relay)
      R.cut()
      await S.nextView(({ receivers }) => receivers[0].present === false)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'))
      const again = await receiver.attach()
      expect(await again.dataThrough(1, 2)).toEqual([data(1, 1, 'a'), data(1, 2, 'b')])
    })

    test('a peer that reads nothing keeps neither the other receivers nor the acks waiting', async () => {
      const { sender, receivers, S, Rs } = await pair(relay, 2)
      const attacker = await RawConnection.webSocket(relay, sender.sessionId)
      attacker.write(wsFrame(TEXT, JSON.stringify({ type: 'attach', token: receivers[0].token, channels: [] })))
      await attacker.frame()
      attacker.stopReading()
      await fillWindow(sender, S)
      const size = sender.limits.maxFrameBytes - 8
      for (let seq = 1; seq <= 10; seq++) {
        S.send(data(2, seq, Buffer.alloc(size, seq)))
        expect((await Rs[1].nextData()).seq).toBe(seq)
        Rs[1].send(ack(2, seq))
        while ((await S.nextAck()) !== `2/${seq}`);
      }
      attacker.destroy()
    })
  })

  describe('before the approval', () => {
    test('a handshake passes: two frames each way, and acks', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const [S, R] = await attachBoth(sender, receiver)
      const messages = [1_248, 1_184, 64, 64].map((size, i) => Buffer.alloc(size, i + 1))
      for (const [i, message] of messages.entries()) {
        const [from, to, seq] = i % 2 === 0 ? [R, S, i / 2 + 1] : [S, R, (i + 1) / 2]
        from.send(data(1, seq, message))
        expect((await to.nextData()).bytes).toEqual(data(1, seq, message))
        to.send(ack(1, seq))
        while ((await from.nextAck()) !== `1/${seq}`);
      }
      expect((await sender.view()).receivers[0].state).toBe('pending')
    })

    test.each(['sender', 'receiver'] as const)('data with seq 3 is invalid_frame, from the %s', async (role) => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const [attacker, victim] =
        role === 'sender' ? await attachBoth(sender, receiver) : (await attachBoth(sender, receiver)).reverse()
      for (let seq = 1; seq <= 2; seq++) attacker.send(data(1, seq, `${seq}`))
      await victim.dataThrough(1, 2)
      victim.send(ack(1, 2))
      while ((await attacker.nextAck()) !== '1/2');
      await expectClosedFor('invalid_frame', [sender, receiver], attacker, () => attacker.send(data(1, 3, 'x')))
      expect(victim.count('data')).toBe(2)
    })

    test.each(['sender', 'receiver'] as const)('2,049 bytes of data are invalid_frame, from the %s', async (role) => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const [attacker, victim] =
        role === 'sender' ? await attachBoth(sender, receiver) : (await attachBoth(sender, receiver)).reverse()
      attacker.send(data(1, 1, Buffer.alloc(2_048)))
      await victim.nextData()
      await expectClosedFor('invalid_frame', [sender, receiver], attacker, () =>
        attacker.send(data(1, 2, Buffer.alloc(2_049))),
      )
      expect(victim.count('data')).toBe(1)
    })

    test('the approval of one receiver opens no other channel', async () => {
      const sender = await openSession(relay)
      const [approved, attackingReceiver] = [await join(sender), await join(sender)]
      await sender.approve(approved)
      const attacker = await attackingReceiver.attach()
      await expectClosedFor('invalid_frame', [sender, approved, attackingReceiver], attacker, () =>
        attacker.send(data(2, 1, Buffer.alloc(4_000))),
      )
    })

    test('after the approval the channel continues where the handshake ended', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const [S, R] = await attachBoth(sender, receiver)
      S.send(data(1, 1, 'm2'), data(1, 2, 'm4'))
      await R.dataThrough(1, 2)
      await sender.approve(receiver)
      S.send(...[3, 4, 5, 6].map((seq) => data(1, seq, Buffer.alloc(3_000, seq))))
      await R.dataThrough(1, 6)
    })
  })

  describe('after the end of a channel', () => {
    const ends: readonly (readonly [string, (sender: Sender, code: string) => Promise<unknown>, string])[] = [
      ['denied', (sender, code) => sender.decide(code, 'denied'), 'pending'],
      ['revoked', (sender, code) => sender.call('DELETE', `/receivers/${code}`), 'approved'],
    ]
    test.each(ends)('a receiver that is %s gets told and gets nothing more', async (state, end, before) => {
      const sender = await openSession(relay)
      const [ended, other] = [await join(sender), await join(sender)]
      await sender.approve(other)
      if (before === 'approved') await sender.approve(ended)
      const [S, R, O] = [await sender.attach(), await ended.attach(), await other.attach()]
      await end(sender, ended.receiverCode)
      const told = await R.nextView(({ receivers }) => receivers[0].state === state)
      expect(told.channels).toEqual([])
      expect(told.receivers[0]).not.toHaveProperty('publicKey')
      S.send(data(1, 1, 'secret'), ack(1, 1), data(2, 1, 'for the other'))
      await O.nextData()
      await sender.retireCode()
      await R.nextView(({ joinable }) => !joinable)
      expect(R.messages.every(({ kind }) => kind === 'view')).toBe(true)
    })

    test('R6: the frames and acks of both sides are discarded, cost no socket and change nothing', async () => {
      const { sender, receivers, S, Rs } = await pair(relay, 2)
      S.send(data(1, 1, 'before the end'))
      Rs[0].send(data(1, 1, 'before the end'))
      await Rs[0].nextData()
      await S.nextData()
      await receivers[0].leave()
      await S.nextView((view) => view.receivers[0].state === 'done')
      const ended = stateOf(await sender.view())
      const attacker = Rs[0]
      for (const device of [S, attacker]) {
        device.send(data(1, 2, 'late'), data(1, 99, 'a gap'), data(1, 1, 'a duplicate'), ack(1, 1), ack(1, 500))
        device.send(data(1, 3, Buffer.alloc(sender.limits.maxFrameBytes - 8)))
      }
      S.send(data(2, 1, 'still here'))
      expect((await Rs[1].nextData()).bytes).toEqual(data(2, 1, 'still here'))
      Rs[1].send(data(2, 1, 'so am I'))
      expect((await S.nextData()).channel).toBe(2)
      expect(stateOf(await sender.view())).toMatchObject({ ...ended, channels: [{ channel: 2, received: 1 }] })
      await sender.retireCode()
      await attacker.nextView(({ joinable }) => !joinable)
      expect([S.count('data'), attacker.count('data'), Rs[1].count('data')]).toEqual([2, 1, 1])
    })

    test('what waited for a receiver that ended is gone', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      R.cut()
      await S.nextView(({ receivers }) => receivers[0].present === false)
      S.send(data(1, 1, 'secret'))
      S.send(data(1, 1, 'a duplicate, to see that the first was taken'))
      await S.nextAck()
      await sender.revoke(receiver)
      const attacker = await receiver.attach([{ channel: 1, received: 0, acked: 0 }])
      await sender.retireCode()
      await attacker.nextView(({ joinable }) => !joinable)
      expect(attacker.messages.every(({ kind }) => kind === 'view')).toBe(true)
    })
  })
}
