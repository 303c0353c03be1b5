import { describe, expect, test } from 'vitest'
import { fresh32Bytes, join, openSession, pair } from './client.ts'
import { ack, Device, data, hex } from './device.ts'
import { expectClosed, expectClosedFor, stateOf } from './documented.ts'
import { BINARY, PING, RawConnection, TEXT, wsFrame } from './raw.ts'
import type { Relay } from './relay.ts'

/** PROTOCOL.md, sections 5.1, 5.2 and 5.8: attaching, malformed frames, and one socket for each role. */
export function sockets(relay: Relay): void {
  describe('attaching', () => {
    test('the first frame from the relay is the view, before any frame or ack that waits', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'), data(1, 2, 'b'))
      R.send(data(1, 1, 'c'))
      await R.dataThrough(1, 2)
      await S.nextData()
      for (const party of [receiver, sender]) {
        const device = await party.attach()
        await device.nextData()
        expect(device.messages[0].kind).toBe('view')
      }
    })

    test('R17: an attach of 4,096 bytes is taken, one of 4,097 is frame_too_large', async () => {
      const sender = await openSession(relay)
      const sized = async (bytes: number) => {
        const device = await Device.open(relay, sender.sessionId)
        const message = { type: 'attach', token: sender.token, channels: [], padding: 'ä' }
        const padding = 'ä'.padEnd(bytes - Buffer.byteLength(JSON.stringify(message)) + 1, '.')
        const text = JSON.stringify({ ...message, padding })
        expect(Buffer.byteLength(text)).toBe(bytes)
        return { device, attach: () => device.send(text) }
      }
      const small = await sized(4_096)
      small.attach()
      await small.device.nextView()
      const attacker = await sized(4_097)
      await expectClosedFor('frame_too_large', [sender], attacker.device, attacker.attach)
    })

    const token = 'TOKEN'
    const row = { channel: 1, received: 0, acked: 0 }
    const malformed: readonly (readonly [string, string | Buffer])[] = [
      ['empty', ''],
      ['not JSON', '{"type":"attach"'],
      ['null', 'null'],
      ['a list', '[]'],
      ['of another type', JSON.stringify({ type: 'join', token, channels: [] })],
      ['without a type', JSON.stringify({ token, channels: [] })],
      ['without a token', JSON.stringify({ type: 'attach', channels: [] })],
      ['with a token of 31 bytes', JSON.stringify({ type: 'attach', token: 'A'.repeat(42), channels: [] })],
      ['with a token that is a number', JSON.stringify({ type: 'attach', token: 1, channels: [] })],
      ['without channels', JSON.stringify({ type: 'attach', token })],
      ['with channels that are no list', JSON.stringify({ type: 'attach', token, channels: {} })],
      ...[
        { ...row, channel: 0 },
        { ...row, channel: 65_536 },
        { ...row, received: -1 },
        { ...row, acked: 4_294_967_296 },
        { ...row, received: 0.5 },
        { ...row, received: '0' },
        { channel: 1, received: 0 },
      ].map(
        (bad) =>
          [`with a row ${JSON.stringify(bad)}`, JSON.stringify({ type: 'attach', token, channels: [bad] })] as const,
      ),
      ['with two rows of a channel', JSON.stringify({ type: 'attach', token, channels: [row, { ...row, acked: 1 }] })],
      ['with a key __proto__', `{"type":"attach","token":"${token}","channels":[],"__proto__":{}}`],
      ['binary', Buffer.from(JSON.stringify({ type: 'attach', token, channels: [] }))],
      ['a data frame', data(1, 1, 'x')],
      ['an ack', ack(1, 0)],
    ]
    test.each(malformed)('an attach that is %s is invalid_frame', async (_, frame) => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const attacker = await Device.open(relay, sender.sessionId)
      const written = typeof frame === 'string' ? frame.replace(token, sender.token) : frame
      await expectClosedFor('invalid_frame', [sender, receiver], attacker, () => attacker.send(written))
      expect(attacker.messages).toEqual([])
    })

    test('an attach with a token that is not of this session is unauthorized', async () => {
      const [sender, stranger] = [await openSession(relay), await openSession(relay)]
      const victim = await join(sender)
      const elsewhere = await join(stranger)
      for (const token of [fresh32Bytes(), stranger.token, elsewhere.token]) {
        const attacker = await Device.open(relay, sender.sessionId)
        await expectClosedFor('unauthorized', [sender, victim, stranger, elsewhere], attacker, () =>
          attacker.send(JSON.stringify({ type: 'attach', token, channels: [] })),
        )
        expect(attacker.messages).toEqual([])
      }
    })

    test('an attach to a session that never was is session_not_found', async () => {
      const sender = await openSession(relay)
      const attacker = await Device.open(relay, 'AAAAAAAAAAAAAAAAAAAAAA')
      await expectClosedFor('session_not_found', [sender], attacker, () =>
        attacker.send(JSON.stringify({ type: 'attach', token: sender.token, channels: [] })),
      )
    })

    test('rows for channels that are not the own one are ignored', async () => {
      const { sender, receivers, S, Rs } = await pair(relay, 2)
      S.send(data(1, 1, 'for the victim'))
      await Rs[0].nextData()
      const before = stateOf(await sender.view()).channels
      const attacker = await receivers[1].attach([
        { channel: 1, received: 1, acked: 9 },
        { channel: 7, received: 1, acked: 9 },
      ])
      attacker.close()
      expect((await sender.view()).channels).toEqual(before)
    })

    test('a receiver that has ended can attach, sees its row, and gets no frame', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const S = await sender.attach()
      S.send(data(1, 1, 'handshake'))
      await sender.deny(receiver, 'handshake_timeout')
      const R = await receiver.attach()
      await sender.retireCode()
      const view = await R.nextView(({ joinable }) => !joinable)
      expect(view.receivers).toMatchObject([{ state: 'denied', reason: 'handshake_timeout' }])
      expect(R.messages.every(({ kind }) => kind === 'view')).toBe(true)
    })
  })

  describe('one socket for each role', () => {
    test('a newer socket supersedes the older, which takes and gets nothing more', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'a'))
      await R.nextData()
      const newer = await receiver.attach([{ channel: 1, received: 1, acked: 0 }])
      await expectClosed(R, 'superseded')
      S.send(data(1, 2, 'b'))
      expect((await newer.nextData()).seq).toBe(2)
      expect(R.count('data')).toBe(1)
      newer.send(data(1, 1, 'from the newer'))
      expect((await S.nextData()).bytes.subarray(8).toString()).toBe('from the newer')

      const newest = await sender.attach([{ channel: 1, received: 1, acked: 1 }])
      await expectClosed(S, 'superseded')
      newest.send(data(1, 3, 'c'))
      expect((await newer.nextData()).seq).toBe(3)
    })

    test('a socket that was superseded does not make its role absent', async () => {
      const { receiver, S, R } = await pair(relay)
      const from = S.messages.length
      const newer = await receiver.attach()
      await expectClosed(R, 'superseded')
      newer.close()
      await S.nextView(({ receivers }) => receivers[0].present === false)
      const seen = S.messages
        .slice(from)
        .flatMap((message) => (message.kind === 'view' ? [message.view.receivers[0].present] : []))
      expect(seen).toEqual([...Array(seen.length - 1).fill(true), false])
    })

    test('receivers do not supersede each other, nor the sender', async () => {
      const { receivers, S, Rs } = await pair(relay, 2)
      const again = await receivers[1].attach()
      await expectClosed(Rs[1], 'superseded')
      S.send(data(1, 1, 'one'), data(2, 1, 'two'))
      expect((await Rs[0].nextData()).channel).toBe(1)
      expect((await again.nextData()).channel).toBe(2)
    })
  })

  describe('frames that do not have the documented form', () => {
    const malformed: readonly (readonly [string, Buffer])[] = [
      ['nothing', hex('')],
      ['one byte', hex('01')],
      ['seven bytes', hex('02 00 0001 000000')],
      ['data without a ciphertext', hex('01 00 0001 00000001')],
      ['type 0', hex('00 00 0001 00000001 ff')],
      ['type 3', hex('03 00 0001 00000001 ff')],
      ['type 255', hex('ff 00 0001 00000001 ff')],
      ['data with a second byte 1', hex('01 01 0001 00000001 ff')],
      ['an ack with a second byte 1', hex('02 01 0001 00000000')],
      ['data on channel 0', hex('01 00 0000 00000001 ff')],
      ['an ack on channel 0', hex('02 00 0000 00000001')],
      ['data with seq 0', hex('01 00 0001 00000000 ff')],
      ['an ack with a payload', hex('02 00 0001 00000001 00')],
      ['data on a channel never given out', hex('01 00 0003 00000001 ff')],
      ['an ack on a channel never given out', hex('02 00 0003 00000001')],
      ['data on channel 65535', hex('01 00 ffff 00000001 ff')],
      ['data that leaves a gap at the start', hex('01 00 0001 00000002 ff')],
      ['data with the last seq there is', hex('01 00 0001 ffffffff ff')],
    ]
    test.each(malformed)('%s is invalid_frame, from either role', async (_, frame) => {
      const { sender, receivers, S, Rs } = await pair(relay, 2)
      for (const attacker of [S, Rs[0]]) {
        await expectClosedFor('invalid_frame', [sender, ...receivers], attacker, () => attacker.send(frame))
      }
      expect(Rs[1].count('data')).toBe(0)
    })

    test.each([
      ['a second attach', '{"type":"attach","token":"A","channels":[]}'],
      ['a view', '{"type":"session"}'],
      ['nothing', ''],
    ])('text after the attach is invalid_frame: %s', async (_, text) => {
      const { sender, receiver, S, R } = await pair(relay)
      await expectClosedFor('invalid_frame', [sender, receiver], S, () => S.send(text))
      await expectClosedFor('invalid_frame', [sender, receiver], R, () => R.send(text))
    })

    test('after a refused frame the ones behind it on the same socket are not taken', async () => {
      const { sender, S, R } = await pair(relay)
      const attacker = S
      attacker.send(hex('03 00 0001 00000001 ff'), data(1, 1, 'too late'), ack(1, 1))
      await expectClosed(attacker, 'invalid_frame')
      expect((await sender.view()).channels).toMatchObject([{ received: 0, acked: 0 }])
      expect(R.count('data')).toBe(0)
    })

    test('a frame of maxFrameBytes is taken, one byte more is frame_too_large', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      const full = sender.limits.maxFrameBytes - 8
      S.send(data(1, 1, Buffer.alloc(full, 7)))
      expect((await R.nextData()).bytes.equals(data(1, 1, Buffer.alloc(full, 7)))).toBe(true)
      await expectClosedFor('frame_too_large', [sender, receiver], S, () => S.send(data(1, 2, Buffer.alloc(full + 1))))
    })
  })

  describe('what breaks RFC 6455 itself', () => {
    const broken: readonly (readonly [string, number, Buffer])[] = [
      ['a frame that is not masked', 1002, hex('82 09 01 00 0001 00000001 ff')],
      ['a reserved opcode', 1002, hex('83 80 00000000')],
      ['a frame that claims to be compressed', 1002, hex('c2 89 00000000 01 00 0001 00000001 ff')],
      ['a fragmented ping', 1002, hex('09 80 00000000')],
      ['a continuation of nothing', 1002, hex('80 80 00000000')],
      ['text that is not UTF-8', 1007, hex('81 82 00000000 c3 28')],
      ['a length of 2^62, of which nothing comes', 1009, hex('82 ff 4000000000000000 00000000')],
      ['a length of 1 MiB + 1, of which nothing comes', 1009, hex('82 ff 0000000000100001 00000000')],
    ]
    test.each(broken)('%s is closed with %i', async (_, code, bytes) => {
      const sender = await openSession(relay)
      const before = stateOf(await sender.view())
      const attacker = await RawConnection.webSocket(relay, sender.sessionId)
      attacker.write(bytes)
      expect((await attacker.closed()).code).toBe(code)
      expect(stateOf(await sender.view())).toEqual(before)
      attacker.destroy()
    })

    test('a frame may come in fragments, with a ping in between, which is answered', async () => {
      const sender = await openSession(relay)
      const connection = await RawConnection.webSocket(relay, sender.sessionId)
      const attach = JSON.stringify({ type: 'attach', token: sender.token, channels: [] })
      connection.write(wsFrame(TEXT, attach.slice(0, 9), { flags: 0 }))
      connection.write(wsFrame(PING, 'echo'))
      connection.write(wsFrame(0, attach.slice(9)))
      expect(await connection.frame()).toEqual({ opcode: 10, payload: Buffer.from('echo') })
      const { opcode, payload } = await connection.frame()
      expect([opcode, JSON.parse(payload.toString())]).toMatchObject([1, { type: 'session', role: 'sender' }])
      connection.write(wsFrame(BINARY, hex('03 00 0001 00000001 ff')))
      expect(await connection.closed()).toEqual({ code: 4400, reason: 'invalid_frame' })
      connection.destroy()
    })

    test('a connection that is cut in the middle of a frame is a socket that is gone', async () => {
      const { sender, receiver, S } = await pair(relay)
      const attacker = await RawConnection.webSocket(relay, sender.sessionId)
      attacker.write(wsFrame(TEXT, JSON.stringify({ type: 'attach', token: receiver.token, channels: [] })))
      await attacker.frame()
      attacker.write(wsFrame(BINARY, data(1, 1, 'never whole')).subarray(0, -1))
      attacker.destroy()
      await S.nextView(({ receivers }) => receivers[0].present === false)
      expect(S.count('data')).toBe(0)
      expect((await receiver.view()).channels).toMatchObject([{ received: 0 }])
    })
  })
}
