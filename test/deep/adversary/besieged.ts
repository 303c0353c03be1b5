import { hasRedis } from '../../support/redis-server.ts'
import type { Line, Sizes } from './parts.ts'
import { type Siege, siege, WITHIN_MS } from './siege.ts'
import { AGAINST_A_CODE, AGAINST_A_RELAY, type Attack } from './strangers.ts'
import { inMemory, overTwoNodes, type World } from './worlds.ts'

/** The part `strangers`: one line for each attack, number of addresses and moment. */

interface Place {
  readonly name: string
  readonly build: (attack: Attack) => Promise<World>
  readonly attacks: readonly Attack[]
  /** The moments of an attack that are tried, from so many addresses. */
  readonly moments: (attack: Attack, addresses: number) => readonly number[]
}

/** In the short form, from many addresses: with the honest receiver, and a little later, an attack each in turn. */
const SHORT_MOMENTS = [0, 15]
/** The same from one address. */
const SHORT_MOMENT = 15
const ADDRESSES = [1, 50]

/** An eighth of it is there for handshakes: room for 512. */
const LITTLE_MEMORY = { memoryBudgetBytes: 32 * 1024 * 1024 }

function memoryFor(attack: Attack): Promise<World> {
  return inMemory(AGAINST_A_RELAY.includes(attack) ? LITTLE_MEMORY : {})
}

/** The sieges of a form, in order. */
function placesOf({ everySiege }: Sizes): Place[] {
  const shortMoment = (attack: Attack, addresses: number) => {
    const turn = [...AGAINST_A_CODE, ...AGAINST_A_RELAY].indexOf(attack) % SHORT_MOMENTS.length
    return addresses > 1 ? SHORT_MOMENTS[turn] : SHORT_MOMENT
  }
  const isShort = (attack: Attack, addresses: number) => (seconds: number) =>
    everySiege || (attack.before.length === 1 ? addresses > 1 : seconds === shortMoment(attack, addresses))
  const moments: Place['moments'] = (attack, addresses) => attack.before.filter(isShort(attack, addresses))
  return [
    { name: 'a relay in memory', build: memoryFor, attacks: [...AGAINST_A_CODE, ...AGAINST_A_RELAY], moments },
    ...(hasRedis ? [{ name: 'two nodes', build: overTwoNodes, attacks: AGAINST_A_CODE, moments: ofNodes }] : []),
  ]
  function ofNodes(attack: Attack, addresses: number) {
    if (everySiege) return attack.before
    return addresses > 1 && AGAINST_A_CODE.indexOf(attack) < SHORT_ATTACKS ? [15] : []
  }
}

/** How many attacks the short form tries over two nodes. */
const SHORT_ATTACKS = 3

export async function* besieged(sizes: Sizes): AsyncGenerator<Line> {
  for (const { name, build, attacks, moments } of placesOf(sizes)) {
    for (const attack of attacks) {
      for (const count of ADDRESSES) {
        const outcomes = new Map<number, Siege>()
        for (const seconds of moments(attack, count)) {
          const world = await build(attack)
          try {
            outcomes.set(seconds, await siege(world, attack, count, seconds))
          } finally {
            await world.end()
          }
        }
        if (outcomes.size > 0) yield lineOf(name, attack, count, outcomes)
      }
    }
  }
  if (!hasRedis) yield { text: 'two nodes: skipped, there is no redis-server here', faults: [] }
}

function lineOf(place: string, attack: Attack, count: number, outcomes: ReadonlyMap<number, Siege>): Line {
  const paired = [...outcomes].map(([seconds, { pairedAfterMs }]) => {
    return `${pairedAfterMs === undefined ? 'never' : `${pairedAfterMs / 1000} s`} when begun after ${seconds} s`
  })
  const who = count === 1 ? 'one address' : `${count} addresses`
  return {
    text: `${place}: ${who} ${attack.name}; honest people pair in ${paired.join(', ')}`,
    faults: [...outcomes].flatMap(([seconds, outcome]) =>
      faultsOf(attack, outcome).map((fault) => `after ${seconds} s: ${fault}`),
    ),
  }
}

/** Why a siege did not come out as it must. */
export function faultsOf(attack: Attack, outcome: Siege): string[] {
  const { pairedAfterMs, refusals, unproven, failedAttempts, ended, delivered } = outcome
  const faults: string[] = []
  if (pairedAfterMs === undefined)
    faults.push(`no pairing within ${WITHIN_MS / 1000} s; told: ${refusals.join(', ') || 'nothing'}`)
  else if (!delivered) faults.push('paired, and nothing could be delivered')
  if (ended !== undefined) faults.push(`the sender's requests ended: ${ended}`)
  if (attack.seen === 'waiting' && unproven === 0) faults.push('the sender was not told that anybody waits')
  if (attack.seen === 'failed' && failedAttempts === 0) faults.push('the sender was not told of any failed attempt')
  return faults
}
