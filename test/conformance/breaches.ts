import { describe, expect, test } from 'vitest'
import { fresh32Bytes, join, openSession, pair } from './client.ts'
import { ack, data } from './device.ts'
import { expectClosed, expectClosedFor, expectProblem, expectRefused } from './documented.ts'
import { RawConnection } from './raw.ts'
import type { Relay } from './relay.ts'

/** PROTOCOL.md, section 5.10: what a relay ends, and what stays. A case is named by its row; R6, R13 and others stand with their subject. */
export function breaches(relay: Relay): void {
  describe('who may break what', () => {
    test('R1: a gap ends the socket it came on, and over HTTP is refused', async () => {
      const { receivers, S, attacker, goesOn } = await twoChannels(relay)
      attacker.send(data(1, 2, 'behind a gap'))
      await expectClosed(attacker, 'invalid_frame')
      await goesOn()
      expectProblem(await receivers[0].put(1, 2, 'behind a gap'), 'frame_refused')
      const again = await receivers[0].attach()
      again.send(data(1, 1, 'no gap'))
      expect((await S.nextData()).bytes).toEqual(data(1, 1, 'no gap'))
    })

    test('R2: what is no frame ends the socket it came on', async () => {
      const { receivers, goesOn } = await twoChannels(relay)
      for (const frame of ['text', Buffer.from('0300000100000001aa', 'hex'), data(2, 1, 'of another'), ack(2, 1)]) {
        const attacker = await receivers[0].attach()
        attacker.send(frame)
        await expectClosed(attacker, 'invalid_frame')
      }
      await goesOn()
    })

    test('R3: a frame beyond the window ends the socket it came on', async () => {
      const { sender, receiver, S, R: attacker } = await pair(relay)
      const { maxFrameBytes, windowBytes } = sender.limits
      await expectClosedFor('window_exceeded', [], attacker, () => {
        for (let seq = 1; seq <= windowBytes / maxFrameBytes + 1; seq++)
          attacker.send(data(1, seq, Buffer.alloc(maxFrameBytes - 8)))
      })
      S.send(data(1, 1, 'to whom it may concern'))
      const again = await receiver.attach()
      expect((await again.nextData()).seq).toBe(1)
    })

    test('R4: an ack beyond what was sent reaches the sender on that channel alone', async () => {
      const { sender, S, attacker, goesOn } = await twoChannels(relay)
      attacker.send(ack(1, 500))
      while ((await S.nextAck()) !== '1/500');
      await goesOn()
      expect((await sender.view()).channels[0]).toMatchObject({ channel: 1, acked: 500 })
    })

    test('R5: an attach acks no frame of its own writer', async () => {
      const sender = await openSession(relay)
      const attacker = await join(sender)
      await sender.attach()
      const claim = [{ channel: 1, received: 0, acked: 1 }]
      for (let i = 0; i < 2; i++) {
        expect((await attacker.attachOverHttp(claim)).channels).toMatchObject([{ received: 0, acked: 0 }])
        const socket = await attacker.attach(claim)
        socket.send(data(1, 2, 'the second, which is the first'))
        await expectClosed(socket, 'invalid_frame')
      }
    })

    test('R12: a seq that comes again over HTTP with other bytes is refused, and the first stays', async () => {
      const { sender, receiver } = await pair(relay)
      const attacker = sender
      await attacker.attachOverHttp()
      expect((await attacker.put(1, 1, 'first')).status).toBe(200)
      expectProblem(await attacker.put(1, 1, 'other'), 'frame_refused')
      await receiver.attachOverHttp()
      expect((await receiver.fetch(1, 1)).text).toBe('first')
    })

    test('R14: a frame that was acked is refused, also when nothing is held', async () => {
      const { sender, receiver: attacker } = await pair(relay)
      await sender.attachOverHttp()
      await attacker.attachOverHttp()
      for (const seq of [1, 2]) await sender.put(1, seq, `frame ${seq}`)
      for (const seq of [1, 2]) {
        await attacker.ack(1, seq)
        expectProblem(await attacker.fetch(1, seq), 'frame_refused')
      }
      await sender.put(1, 3, 'frame 3')
      expect((await attacker.fetch(1, 3)).text).toBe('frame 3')
    })

    test('R16: a decision stands, and has one form', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      await sender.approve(receiver)
      const { receiverCode } = receiver
      await expectRefused('decision_made', [sender], () => sender.decide(receiverCode, 'denied'))
      await expectRefused('invalid_request', [sender], () => sender.decide(receiverCode, 'approved', 'rejected'))
      await expectRefused('invalid_request', [sender], () =>
        sender.decide(receiverCode, 'denied', 'a reason of its own'),
      )
    })

    test('R17: the body of a frame without a valid token is not waited for', async () => {
      const sender = await openSession(relay)
      const attacker = await RawConnection.open(relay)
      attacker.write(
        `PUT /v1/sessions/${sender.sessionId}/channels/1/frames/1 HTTP/1.1\r\nHost: relay\r\n` +
          `Authorization: Bearer ${fresh32Bytes()}\r\nContent-Type: application/octet-stream\r\nContent-Length: 60000\r\n\r\n`,
      )
      expectProblem(await attacker.answer(), 'unauthorized')
    })
  })
}

/** Two approved channels. `attacker` is the device of the first; `goesOn` has the second carry a frame and an ack each way. */
async function twoChannels(relay: Relay) {
  const { sender, receivers, S, Rs } = await pair(relay, 2)
  const [attacker, R] = Rs
  const goesOn = async () => {
    for (const [from, to] of [
      [S, R],
      [R, S],
    ]) {
      from.send(data(2, 1, 'it continues'))
      expect((await to.nextData()).bytes).toEqual(data(2, 1, 'it continues'))
      to.send(ack(2, 1))
      while ((await from.nextAck()) !== '2/1');
    }
  }
  return { sender, receivers, S, attacker, goesOn }
}
