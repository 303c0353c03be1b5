import { describe, expect, test } from 'vitest'
import { join, openSession, pair, type Sender } from './client.ts'
import { ack, type Device, data } from './device.ts'
import { expectClosedFor } from './documented.ts'
import type { Relay } from './relay.ts'

/** PROTOCOL.md, section 5.5: how much may be on its way, to the byte. */
export function windows(relay: Relay): void {
  describe('windows', () => {
    test('the window of a pending channel is 4,096, to the byte', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const R = await receiver.attach()
      const attacker = await sender.attach()
      attacker.send(data(1, 1, Buffer.alloc(2_048)), data(1, 2, Buffer.alloc(4_096 - 2_056 - 8)))
      await R.dataThrough(1, 2)
      expect((await sender.view()).channels).toMatchObject([{ received: 2, window: 4_096 }])
      const another = await join(sender)
      attacker.send(data(2, 1, Buffer.alloc(2_048)))
      await expectClosedFor('window_exceeded', [receiver, another], attacker, () => {
        attacker.send(data(2, 2, Buffer.alloc(4_096 - 2_056 - 7)))
      })
      expect(R.count('data')).toBe(2)
    })

    test('an approval raises both windows to one full frame', async () => {
      const { sender, receiver } = await pair(relay)
      const { maxFrameBytes } = sender.limits
      expect((await sender.view()).channels).toEqual([{ channel: 1, received: 0, acked: 0, window: maxFrameBytes }])
      expect((await receiver.view()).channels).toEqual([{ channel: 1, received: 0, acked: 0, window: maxFrameBytes }])
    })

    test('a window that is used doubles up to windowBytes, in its own direction alone', async () => {
      const { sender, receiver, S } = await pair(relay)
      const { maxFrameBytes, windowBytes } = sender.limits
      const windows = await fillWindow(sender, S)
      const expected = [maxFrameBytes]
      while (expected.at(-1) !== windowBytes) expected.push(Math.min(windowBytes, 2 * (expected.at(-1) as number)))
      expect(windows).toEqual(expected)
      expect((await receiver.view()).channels[0].window).toBe(maxFrameBytes)
    })

    test('a window that has grown stays, and takes a transfer many times its size', async () => {
      const { sender, S, R } = await pair(relay)
      const windows = await fillWindow(sender, S)
      const { received } = (await sender.view()).channels[0]
      const frame = (seq: number) => data(1, seq, Buffer.alloc(sender.limits.maxFrameBytes - 8, seq))
      for (let seq = received + 1; seq <= received + 40; seq++) {
        const read = await R.nextData()
        expect(read.seq).toBe(seq - received)
        R.send(ack(1, read.seq))
        while ((await S.nextAck()) !== `1/${read.seq}`);
        S.send(frame(seq))
      }
      const last = await R.dataThrough(1, received + 40)
      expect(last.at(-1)?.equals(frame(received + 40))).toBe(true)
      expect((await sender.view()).channels[0].window).toBe(windows.at(-1))
    })

    test('duplicates and acks cost nothing, even at a full window', async () => {
      const { sender, S, R } = await pair(relay)
      R.send(data(1, 1, 'r'))
      await S.nextData()
      await fillWindow(sender, S)
      const { received } = (await sender.view()).channels[0]
      S.send(data(1, received, 'x'), data(1, 1, 'x'), ack(1, 1))
      expect(await S.nextAck()).toBe('1/0')
      while ((await R.nextAck()) !== '1/1');
    })

    test('a frame of one byte costs 256', async () => {
      const { sender, receiver, S: attacker, R } = await pair(relay)
      await fillWindow(sender, attacker)
      const { received } = (await sender.view()).channels[0]
      R.send(ack(1, 1))
      while ((await attacker.nextAck()) !== '1/1');
      attacker.send(
        data(1, received + 1, Buffer.alloc(sender.limits.maxFrameBytes - 8 - 256)),
        data(1, received + 2, 'x'),
      )
      attacker.send(data(1, 1, 'a duplicate, to see that the others were taken'))
      while ((await attacker.nextAck()) !== '1/1');
      expect((await sender.view()).channels).toMatchObject([{ received: received + 2, acked: 1 }])
      await expectClosedFor('window_exceeded', [sender, receiver], attacker, () =>
        attacker.send(data(1, received + 3, 'x')),
      )
    })
  })
}

/** Sends full frames until the window is full and grows no more; returns every window there was. Nobody may ack. */
export async function fillWindow(sender: Sender, S: Device): Promise<number[]> {
  const { maxFrameBytes, windowBytes } = sender.limits
  const windows = [(await sender.view()).channels[0].window]
  let cost = 0
  for (let seq = 1; ; ) {
    const window = windows.at(-1) as number
    const room = Math.min(maxFrameBytes, window - cost)
    if (room >= 256) {
      S.send(data(1, seq++, Buffer.alloc(room - 8, seq)))
      cost += room
      // Whenever the next full frame would not fit, the window grows; a view shows it.
      if (window < windowBytes && cost + maxFrameBytes > window) {
        windows.push((await S.nextView(({ channels }) => channels[0].window > window)).channels[0].window)
      }
    } else {
      // The view over HTTP may be ahead of what is still on its way in the socket.
      while ((await sender.view()).channels[0].received < seq - 1);
      return windows
    }
  }
}
