import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { PairingError, Receiver, Sender, type Source } from '../../../src/client/index.ts'
import { RUNS_MAX } from '../../../src/client/pairing/handshake-slots.ts'
import { HANDSHAKE_STEP_MS } from '../../../src/client/pairing/handshake-steps.ts'
import type { View } from '../../../src/protocol/view.ts'
import { FakeTime, settled } from '../../client/fake-time.ts'
import { receiverWithoutCode } from '../adversary/budgets.ts'
import { device } from '../adversary/device.ts'
import { lie } from '../adversary/operators.ts'
import { type Operator, Relay } from '../adversary/relay.ts'
import { RELAY } from '../adversary/scenario.ts'
import { Seed } from '../adversary/seed.ts'

/** No word of a relay decides what a device holds: each bound is the device's own. */

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const MIB = 1024 * 1024
/** Frames that are sealed and not yet counted. */
const SLACK_BYTES = 2 * MIB
/** The window of an honest relay, and what a device believes at most. */
const WINDOW_BYTES = 2_098_176
const WINDOW_MAX_BYTES = 64 * MIB
const LIES = [2 ** 31, 2 ** 50, Number.MAX_SAFE_INTEGER]

async function opened(name: string, operators: readonly Operator[]) {
  const seed = new Seed('bounds', name)
  const time = new FakeTime()
  const relay = new Relay(time, seed)
  relay.operators = operators
  const sender = await Sender.open({ relay: RELAY, environment: device('sender', seed, relay) })
  await settled()
  return { seed, time, relay, sender }
}

/** A source that tells how much of it was asked for. */
function endless(): { source: Source; read: () => number } {
  let bytes = 0
  const open = async function* () {
    for (const piece = new Uint8Array(MIB / 4); bytes < 1024 * MIB; ) {
      bytes += piece.length
      yield piece
    }
  }
  return { source: { name: 'endless', once: true, open }, read: () => bytes }
}

/** How much of a source a sender has taken when it takes no more of it. The relay acks nothing of what it sends. */
async function takenUnder(name: string, operators: readonly Operator[]): Promise<number> {
  const swallow: Operator = {
    name: 'swallow',
    data: ({ from, seq }) => (from === 'sender' && seq > 2 ? [] : undefined),
  }
  const { seed, relay, time, sender } = await opened(name, [...operators, swallow])
  const receiver = await Receiver.join({
    relay: RELAY,
    code: sender.code,
    environment: device('receiver', seed, relay),
  })
  const request = await sender.requests().next()
  await request.value?.approve()
  const { source, read } = endless()
  const sending = sender.send([source]).catch(() => {})
  for (let before = -1; before !== read(); ) {
    before = read()
    for (let turns = 0; turns < 50; turns++) await settled()
  }
  const taken = read()
  const away = Promise.all([sender.cancel(), receiver.close(), sending])
  await time.advance(100_000)
  await away
  return taken
}

describe('a window that lies', () => {
  const widen = (window: number) =>
    lie('sender', (view) => ({ ...view, channels: view.channels.map((row) => ({ ...row, window })) }))
  const announce = (windowBytes: number): Operator => ({
    name: 'limits',
    created: (answer) => ({ ...answer, limits: { ...answer.limits, windowBytes } }),
  })

  test('an honest one is filled, and no more is read', async () => {
    expect(await takenUnder('honest', [])).toBeLessThan(WINDOW_BYTES + SLACK_BYTES)
  })

  test.each(LIES)(
    'a row with %d bytes does not take more of a source than the limits of the session',
    async (window) => {
      expect(await takenUnder(`row ${window}`, [widen(window)])).toBeLessThan(WINDOW_BYTES + SLACK_BYTES)
    },
  )

  test.each(LIES)('limits and a row with %d bytes do not take more of a source than 64 MiB', async (window) => {
    const taken = await takenUnder(`limits ${window}`, [announce(window), widen(window)])
    expect(taken).toBeLessThan(WINDOW_MAX_BYTES + SLACK_BYTES)
  })
})

describe('receivers that a relay invents', () => {
  const rowsFrom = (seed: Seed, first: number, count: number) =>
    Array.from({ length: count }, (_, i) => {
      const { receiverCode, publicKey } = receiverWithoutCode(seed)
      return {
        receiverCode,
        channel: first + i,
        state: 'pending' as const,
        publicKey: Buffer.from(publicKey).toString('base64url'),
        present: true,
      }
    })
  const withRows = (view: View, receivers: View['receivers']): View => ({
    ...view,
    receivers,
    channels: receivers
      .filter(({ state }) => state === 'pending')
      .map(({ channel }) => ({ channel, received: 0, acked: 0, window: 4_096 })),
  })

  test('more at once than may wait end the session as the relay’s fault', async () => {
    let shown: View['receivers'] = []
    const { seed, relay, sender } = await opened('at once', [lie('sender', (view) => withRows(view, shown))])
    const ended = sender.requests().next()
    ended.catch(() => {})
    shown = rowsFrom(seed, 1, 32)
    relay.show(relay.meeting)
    await expect(ended).rejects.toMatchObject({ code: 'relay_misbehaved' })
    await sender.cancel()
  })

  test('ever new ones are met with a bounded number of calls, and in the end with none', async () => {
    let shown: View['receivers'] = []
    const { seed, relay, time, sender } = await opened('ever new', [
      lie('sender', (view) => ({ ...withRows(view, shown), expiresInMs: 900_000 })),
    ])
    const requests = sender.requests().next()
    requests.catch(() => {})
    const callsFor = async (first: number, last: number) => {
      const before = relay.commands.length
      for (let channel = first; channel < last; channel += 8) {
        shown = rowsFrom(seed, channel, 8)
        relay.show(relay.meeting)
        await settled()
        // Each handshake ends by its time-out, and costs a call.
        await time.advance(HANDSHAKE_STEP_MS)
      }
      return relay.commands.length - before
    }
    expect(await callsFor(1, RUNS_MAX + 1)).toBe(RUNS_MAX)
    expect(await callsFor(RUNS_MAX + 1, RUNS_MAX + 81)).toBe(0)
    await sender.cancel()
  })

  test('what they send is held within the handshake’s window', async () => {
    const { seed, relay, sender } = await opened('noise', [])
    const guests = Array.from({ length: 8 }, () => {
      const { receiverCode, publicKey } = receiverWithoutCode(seed)
      return relay.invite(receiverCode, Buffer.from(publicKey).toString('base64url'), () => {})
    })
    await settled()
    collectGarbage()
    const before = process.memoryUsage().arrayBuffers
    for (const guest of guests) {
      // Less than a window of the session.
      for (let frame = 0; frame < 7; frame++) {
        relay.deliver({ meeting: relay.meeting, guest, from: 'receiver', ciphertext: new Uint8Array(MIB / 4) })
        // Frames that the test's relay keeps for a resume are not the device's.
        guest.lines.receiver.delivered.fill(new Uint8Array())
      }
    }
    // Wait until all is delivered, and no longer: no handshake has looked at any of it yet.
    await undefined
    collectGarbage()
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * MIB)
    await settled()
    // The session continues: a peer ends its own channel, whoever it is.
    expect(relay.commands).not.toContain('DELETE')
    await sender.cancel()
  })
})

test('a receiver that waits for the handshake holds no more than its window of what comes', async () => {
  const { seed, relay, sender } = await opened('receiver', [
    { name: 'hold', data: ({ from }) => (from === 'receiver' ? [] : undefined) },
  ])
  const environment = device('receiver', seed, relay)
  const receiver = await Receiver.join({ relay: RELAY, code: sender.code, environment })
  const verified = receiver.verified.then(
    () => 'verified',
    (error: unknown) => (error instanceof PairingError ? error.code : error),
  )
  await settled()
  const [guest] = relay.meeting.guests
  if (!guest) throw new Error('nobody joined')
  for (let frame = 0; frame < 100; frame++) {
    relay.deliver({ meeting: relay.meeting, guest, from: 'sender', ciphertext: new Uint8Array(2_048) })
  }
  await settled()
  expect(await verified).not.toBe('verified')
  await Promise.all([sender.cancel(), receiver.close()])
})
