import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectHealthy, expectIdle, warmUp } from '../../support/health.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { ATTACHED, Crowd, member, REQUESTS, type Slow, UNATTACHED } from './slow.ts'

/** So many of each kind, at once. */
const CROWD = 1_000
/** Honest pairings for a p99 of an idle relay, before and after each attack. */
const IDLE_PAIRINGS = 150
/** An attack is repeated before it counts as slowing anybody down: a p99 of a few hundred is a matter of luck. */
const ATTEMPTS = 4
const DRIP_EVERY_MS = 20
/** The part of a crowd that says a byte then: each of them says two a second. */
const DRIP = 1 / 25

const relay = await startRelayProcess()
beforeAll(() => warmUp(relay))
afterAll(() => relay.stop())
let made = 0

test.each([
  ['before a request is whole', REQUESTS, undefined],
  ['before they attach', UNATTACHED, undefined],
  ['after they attached', ATTACHED, 25_000],
] as const)(
  `${CROWD} clients each that are slow %s are ended in time, and honest ones notice nothing`,
  async (_, kinds, advances) => {
    const before = await relay.state()
    const ratios: number[] = []
    while (ratios.length < ATTEMPTS) {
      ratios.push(await ratioUnder(kinds, advances))
      if (Math.min(...ratios) <= 2) break
    }
    expect(Math.min(...ratios), `p99 under attack by idle p99, each time: ${ratios}`).toBeLessThanOrEqual(2)
    await expectIdle(relay, before)
  },
  180_000,
)

/** The p99 of honest pairings under one attack, by the higher of those of the idle relay before and after it. */
async function ratioUnder(kinds: readonly Slow[], advances: number | undefined): Promise<number> {
  const idle = await pairings(({ length }) => length >= IDLE_PAIRINGS)
  const crowds = kinds.map((slow) => new Crowd(slow))
  let over = false
  const dripping = setInterval(() => {
    for (const crowd of crowds) crowd.drip(DRIP)
  }, DRIP_EVERY_MS)
  // They come one after the other, and what is measured is the relay that has them all: many at once are another attack.
  for (let i = 0; i < CROWD; i++) {
    for (const crowd of crowds) {
      const attacker = crowd.slow.attached ? await member(relay.url, `slow-${++made}`) : NOBODY
      await crowd.add(relay, attacker)
    }
  }
  const attack = async () => {
    if (advances) await passing(crowds, advances)
    const due = performance.now()
    await Promise.all(crowds.map((crowd) => crowd.gone()))
    // With a clock that was moved, their time was over when it had been.
    const late = Math.min(...kinds.map((slow) => slow.late))
    if (advances) expect(performance.now() - due, 'the last to be ended').toBeLessThan(late)
  }
  const ended = attack().finally(() => {
    over = true
    clearInterval(dripping)
  })
  const [attacked] = await Promise.all([pairings(() => over), ended])
  for (const { slow, lived } of crowds) {
    expect(lived).toHaveLength(CROWD)
    const limit = advances ? Number.POSITIVE_INFINITY : slow.closedAfter + slow.late
    expect(Math.max(...lived), `${slow.what}: the longest life`).toBeLessThan(limit)
  }
  const after = await pairings(({ length }) => length >= IDLE_PAIRINGS)
  return p99(attacked) / Math.max(p99(idle), p99(after))
}

const NOBODY = { sessionId: 'A'.repeat(22), token: 'A'.repeat(43) }

/** The relay's clock goes on, up to the documented time. Nobody is cut before that. */
async function passing(crowds: readonly Crowd[], step: number): Promise<void> {
  const whole = Math.max(...crowds.map(({ slow }) => slow.closedAfter))
  for (let passed = 0; passed < whole; passed += step) {
    expect(crowds.map(({ lived }) => lived.length)).toEqual(crowds.map(() => 0))
    await relay.advance(step)
  }
}

/** How long honest pairings take, one after the other, in milliseconds. */
async function pairings(enough: (times: readonly number[]) => boolean): Promise<number[]> {
  const times: number[] = []
  while (!enough(times)) {
    const began = performance.now()
    await expectHealthy(relay)
    times.push(performance.now() - began)
  }
  return times
}

function p99(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.ceil(0.99 * sorted.length) - 1]
}
