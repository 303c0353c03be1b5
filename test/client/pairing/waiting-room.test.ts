import { expect, test } from 'vitest'
import { Sender, type SenderOptions } from '../../../src/client/index.ts'
import { RUNS_MAX } from '../../../src/client/pairing/handshake-slots.ts'
import { randomReceiverCode } from '../../../src/crypto/pairing-code.ts'
import type { ReceiverRow } from '../../../src/protocol/view.ts'
import { settled } from '../fake-time.ts'
import { channelRow } from '../fake-web-socket.ts'
import { FakeWorld, pairingErrorOf } from '../support.ts'

/** A sender in front of a relay that invents receivers: no more of them are looked at than a session can have. */

const CREATED = {
  sessionId: 'A'.repeat(22),
  token: `${'B'.repeat(42)}A`,
  expiresInMs: 900_000,
  limits: { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 8, ttlSeconds: 900 },
}

let made = 0
const row = (channel: number, change: Partial<ReceiverRow> = {}): ReceiverRow => ({
  receiverCode: randomReceiverCode((length) => new Uint8Array(length).map((_, i) => (made++ >> (i * 5)) & 31)),
  channel,
  state: 'pending',
  publicKey: 'A'.repeat(43),
  present: true,
  ...change,
})

async function opened(options: Partial<SenderOptions> = {}, expiresInMs = CREATED.expiresInMs) {
  const world = new FakeWorld()
  /** Calls behind the create; none is answered before the test says so. */
  const calls: { path: string; answer: () => void }[] = []
  world.fetch = async (url, init) => {
    if (init.method === 'POST') return Response.json({ ...CREATED, expiresInMs }, { status: 201 })
    const path = `${init.method} ${url.replace(/^.*\/sessions\/[^/]+/, '')} ${init.body ?? ''}`
    await new Promise<void>((resolve) => calls.push({ path, answer: resolve }))
    return new Response(null, { status: 204 })
  }
  const sender = await Sender.open({ relay: 'https://relay.example', ...options, environment: world.environment })
  world.socket.open()
  world.socket.show()
  const next = () => sender.requests().next()
  return { world, sender, calls, next }
}

test('more than eight pending receivers in one view end the session as the relay’s lie', async () => {
  const { world, next, calls } = await opened()
  world.socket.show({ receivers: Array.from({ length: 8 }, (_, i) => row(i + 1)) })
  world.socket.show({ receivers: Array.from({ length: 9 }, (_, i) => row(i + 9)) })
  expect(await pairingErrorOf(next())).toBe('relay_misbehaved')
  await settled()
  expect(calls.map(({ path }) => path)).toEqual(['DELETE  '])
})

test.each<[string, (attacker: FakeWorld) => void]>([
  [
    'another key in a row',
    ({ socket }) => socket.show({ receivers: [row(1, { receiverCode: 'ABCDEF', publicKey: `${'B'.repeat(42)}A` })] }),
  ],
  [
    'another profile in a row',
    ({ socket }) => socket.show({ receivers: [row(1, { receiverCode: 'ABCDEF', profile: 'AQI' })] }),
  ],
  ['two rows of one channel', ({ socket }) => socket.show({ receivers: [row(1, { receiverCode: 'ABCDEF' }), row(1)] })],
  ...(['denied', 'revoked'] as const).map((state): [string, (attacker: FakeWorld) => void] => [
    `C7: a row that is ${state}, by nobody here,`,
    ({ socket }) => socket.show({ receivers: [row(1, { receiverCode: 'ABCDEF', state })] }),
  ]),
  ['a row without a key', ({ socket }) => socket.show({ receivers: [row(2, { publicKey: undefined })] })],
])('%s ends the session as the relay’s lie', async (_, lie) => {
  const { world, next } = await opened()
  world.socket.show({ receivers: [row(1, { receiverCode: 'ABCDEF' })] })
  lie(world)
  expect(await pairingErrorOf(next())).toBe('relay_misbehaved')
})

test('invented receivers are looked at 1,024 times in a session’s life, with one refusal under way at a time', async () => {
  const waiting: number[] = []
  const used: string[] = []
  const { world, calls, sender } = await opened({
    onWaiting: ({ unproven }) => void waiting.push(unproven),
    onUsedUp: () => void used.push('used up'),
  })
  for (let i = 0; i < RUNS_MAX + 80; i += 8) {
    const rows = Array.from({ length: 8 }, (_, j) => row(i + j + 1))
    world.socket.show({ receivers: rows, channels: rows.map(({ channel }) => channelRow({ channel })) })
    for (const { channel } of rows) world.socket.data(channel, 1, new Uint8Array(7))
    await settled()
  }
  expect(sender.failedAttempts.invalid).toBe(RUNS_MAX)
  expect(calls).toHaveLength(1)
  expect(Math.max(...waiting)).toBe(8)
  expect(used).toEqual(['used up'])
  expect(sender.waitingUnproven).toBe(0)
  // The next attach has nothing of what has ended.
  world.socket.drop()
  await world.time.advance(10_000)
  world.socket.open()
  expect(world.socket.texts).toMatchObject([{ type: 'attach', channels: [] }])
})

test('a code that others have used up is told, and requests end with it', async () => {
  const used: string[] = []
  const { world, next } = await opened({ onUsedUp: () => void used.push('used up') })
  const request = pairingErrorOf(next())
  world.socket.show({ joinable: false, receivers: [row(1)] })
  await settled()
  // The one who waits may still be the right one.
  expect(used).toEqual([])
  world.socket.show({ joinable: false, receivers: [] })
  expect(await request).toBe('used_up')
  expect(used).toEqual(['used up'])
})

test('states, reasons and features that are not known yet end nobody else', async () => {
  const { world, sender } = await opened()
  world.socket.show({ receivers: [row(1), row(2)], channels: [channelRow(), channelRow({ channel: 2 })] })
  const [one, two] = [row(1), row(2)]
  expect(sender.waitingUnproven).toBe(2)
  world.socket.say(
    JSON.stringify({
      type: 'session',
      version: '9',
      role: 'sender',
      state: 'open',
      expiresInMs: 1_000,
      joinable: true,
      mood: 'good',
      receivers: [
        { ...one, receiverCode: 'NEXT01', channel: 3 },
        { ...two, receiverCode: 'NEXT02', channel: 4, state: 'frozen' },
      ],
      channels: [],
    }),
  )
  expect(sender.waitingUnproven).toBe(1)
})

/** Lets time pass with a relay that shows itself. */
async function pass(world: FakeWorld, seconds: number): Promise<void> {
  for (let left = seconds; left > 0; left -= 30) {
    await world.time.advance(Math.min(left, 30) * 1_000)
    world.socket.show()
  }
}

test('a code is good for 15 minutes of a session of a day; then it is retired, and the session goes on', async () => {
  const { world, sender, calls, next } = await opened({ ttlSeconds: 86_400 }, 86_400_000)
  expect(sender.codeExpiresInMs).toBe(900_000)
  await pass(world, 899)
  expect([calls, sender.codeExpiresInMs]).toEqual([[], 1_000])
  await pass(world, 1)
  expect(calls.map(({ path }) => path)).toEqual(['DELETE /code '])
  expect(await pairingErrorOf(next())).toBe('code_expired')
  expect([sender.codeExpiresInMs, sender.expiresInMs]).toEqual([0, 85_500_000])
  void sender.cancel()
})

test('a code of a session that ends before has no other time than that, and nothing is left of a session that ended', async () => {
  const { world, sender } = await opened()
  expect(sender.codeExpiresInMs).toBe(sender.expiresInMs)
  const { world: longer, sender: cancelled } = await opened({}, 3_600_000)
  const more = longer.time.outstanding - world.time.outstanding
  expect(more).toBe(1)
  void cancelled.cancel()
  expect(longer.time.due).not.toContain(900_000)
})

test.each([29, 86_401, 60.5, Number.NaN, '60' as never])(
  'a session of %s seconds is refused at once, and says how long one can be',
  async (attacker) => {
    const opening = Sender.open({ relay: 'https://relay.example', ttlSeconds: attacker })
    await expect(opening).rejects.toThrow(RangeError)
    await expect(opening).rejects.toThrow('30 to 86400')
  },
)

test('a sender’s name that its devices would not take is refused at once', async () => {
  const attacker = 'x'.repeat(65)
  await expect(Sender.open({ relay: 'https://relay.example', name: attacker })).rejects.toThrow(RangeError)
})
