import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type PairingRequest, Receiver } from '../../../src/client/index.ts'
import { parsePairingCode } from '../../../src/crypto/pairing-code.ts'
import { pairingErrorOf } from '../../client/support.ts'
import { besieged } from './besieged.ts'
import { SHORT } from './parts.ts'
import { SEED, Seed } from './seed.ts'
import { opened, siege } from './siege.ts'
import { AGAINST_A_CODE, GUESSING, strangers } from './strangers.ts'
import { inMemory, RELAY_URL, type World } from './worlds.ts'

test(`strangers with a locator, from one address and from fifty, keep nobody from pairing within 30 s (seed ${SEED})`, async () => {
  for await (const { text, faults } of besieged(SHORT)) expect(faults, text).toEqual([])
})

describe('what a sender learns of strangers', () => {
  let world: World
  beforeEach(async () => {
    world = await inMemory()
  })
  afterEach(() => world.end())

  test('five wrong guesses end a code by design, and the sender is told how many failed', async () => {
    const { ended, failedAttempts, pairedAfterMs } = await siege(world, GUESSING, 5, 2)
    expect(ended).toBe('no more requests')
    expect(failedAttempts).toBe(5)
    expect(pairedAfterMs).toBeUndefined()
  })

  test('who saw the code joins first and fills the places: the one row needs typing, and the honest device pairs', async () => {
    const sender = await opened(world, { relay: RELAY_URL, receivers: 1, environment: await device('192.0.2.1') })
    const requests: PairingRequest[] = []
    const listening = (async () => {
      for await (const request of sender.requests()) requests.push(request)
    })().catch(() => {})
    const thief = await joined(sender.code, '203.0.113.1')
    const [fill] = AGAINST_A_CODE.filter(({ name }) => name === 'join and never attach')
    const attackers = await strangers(world, 50, 'fill the places')
    for (const attacker of attackers) void fill?.act(attacker, parsePairingCode(sender.code).locator)
    await world.pass(1_000)
    expect(requests.map(({ matchNumber }) => matchNumber)).toEqual([thief.matchNumber])
    expect(sender.waitingUnproven).toBeGreaterThan(0)
    expect(sender.typingRequired).toBe(true)
    expect(await pairingErrorOf(requests[0]?.approve() ?? Promise.resolve())).toBe('typing_required')
    const honest = await joined(sender.code, '198.51.100.7')
    expect(requests.map(({ matchNumber }) => matchNumber)).toEqual([thief.matchNumber, honest.matchNumber])
    const approving = sender.approveNumber(honest.matchNumber ?? '')
    await world.pass(1_000)
    expect((await approving).matchNumber).toBe(honest.matchNumber)
    const away = Promise.all([sender.cancel(), thief.close(), honest.close(), listening])
    await world.pass(1_000)
    await away
  })

  const device = (address: string) => world.device(address, new Seed('device', address))

  async function joined(code: string, address: string): Promise<Receiver> {
    const joining = Receiver.join({ relay: RELAY_URL, code, environment: await device(address) })
    await world.pass(1_000)
    const receiver = await joining
    await receiver.verified
    return receiver
  }
})
