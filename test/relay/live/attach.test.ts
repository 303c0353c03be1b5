import { describe, expect, test } from 'vitest'
import { ATTACH_MAX_BYTES, ATTACH_TIMEOUT_MS, JOINS_MAX, SEQ_MAX } from '../../../src/protocol/limits.ts'
import { FakeSecrets } from '../../support/fake-secrets.ts'
import { opened, paired, settled } from '../../support/relay.ts'

/** Of the right form, and issued by no relay here. */
const strangers = new FakeSecrets(1_000_000)

const attachText = (token: string, rest: object = { channels: [] }) =>
  JSON.stringify({ type: 'attach', token, ...rest })

describe('the first frame', () => {
  // Those of another form are in test/conformance/sockets.ts.
  const refusals: [name: string, frame: (token: string) => string | Uint8Array, code: string][] = [
    ['text longer than 4 KiB', (token) => attachText(token).padEnd(ATTACH_MAX_BYTES + 1), 'frame_too_large'],
    [
      'text longer than 4 KiB in UTF-8 alone',
      (token) => attachText(token, { channels: [], x: 'é'.repeat(2_040) }),
      'frame_too_large',
    ],
    ['a binary frame longer than 4 KiB', () => new Uint8Array(ATTACH_MAX_BYTES + 1), 'frame_too_large'],
    ['an empty binary frame', () => new Uint8Array(), 'invalid_frame'],
    [
      'a key __proto__ deep inside',
      (token) => attachText(token).replace('[]', '[{"channel":1,"received":0,"acked":0,"__proto__":1}]'),
      'invalid_frame',
    ],
  ]
  for (const [name, frame, code] of refusals) {
    test(`is refused with ${code} when it is ${name}, and the session stays as it is`, async () => {
      const { node, sender } = await opened()
      const before = await node.view(sender)
      const attacker = node.connect(sender.sessionId)
      await settled(attacker.say(frame(sender.token)))
      expect(attacker.closedWith).toBe(code)
      expect(attacker.sent).toEqual([])
      expect(await node.view(sender)).toEqual(before)
      expect(node.counters().sockets).toBe(0)
      expect(node.failures).toEqual([])
    })
  }

  test('fits into 4 KiB with the largest position on as many channels as can be live', () => {
    const channels = Array.from({ length: 16 }, (_, i) => ({
      channel: JOINS_MAX - i,
      received: SEQ_MAX,
      acked: SEQ_MAX,
    }))
    const token = strangers.token()
    expect(Buffer.byteLength(attachText(token, { channels }))).toBeLessThanOrEqual(ATTACH_MAX_BYTES)
  })

  test(`that has not come after ${ATTACH_TIMEOUT_MS} ms ends the socket with attach_timeout, not earlier`, async () => {
    const { node, sender } = await opened()
    const attacker = node.connect(sender.sessionId)
    const other = await node.attach(sender)
    node.clock.advance(ATTACH_TIMEOUT_MS - 1)
    await node.tick()
    expect(attacker.closedWith).toBeUndefined()
    node.clock.advance(1)
    await node.tick()
    expect(attacker.closedWith).toBe('attach_timeout')
    expect(other.closedWith).toBeUndefined()
    expect(node.counters().sockets).toBe(1)
  })

  test('that comes after the close changes nothing', async () => {
    const { node, sender } = await opened()
    const attacker = node.connect(sender.sessionId)
    attacker.answersClose = false
    await settled(attacker.say('nonsense'))
    await settled(attacker.attach(sender.token))
    expect(attacker.sent).toEqual([])
    expect((await node.view(sender)).version).toBe('1')
    expect(attacker.violations).toBe(0)
  })

  test('of a socket that vanished before does nothing', async () => {
    const { node, sender } = await opened()
    const socket = node.connect(sender.sessionId)
    await settled(socket.vanish(), socket.attach(sender.token))
    expect(socket.sent).toEqual([])
    expect(node.counters().sockets).toBe(0)
  })
})

describe('after the attach', () => {
  test('the first view has the channels as the attach left them', async () => {
    const { node, sender, senderSocket } = await paired(2)
    for (const channel of [1, 2]) for (const seq of [1, 2, 3]) senderSocket.data(channel, seq)
    await settled()
    const again = await node.attach(sender, [{ channel: 2, received: 0, acked: 0 }])
    const [first] = again.sent
    expect(first).toMatchObject({
      kind: 'view',
      view: {
        channels: [
          { channel: 1, received: 3, acked: 0 },
          { channel: 2, received: 3, acked: 0 },
        ],
      },
    })
  })
})
