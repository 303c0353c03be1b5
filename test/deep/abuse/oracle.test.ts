import { afterAll, describe, expect, test } from 'vitest'
import type { Secrets } from '../../../src/relay/ports.ts'
import { systemSecrets } from '../../../src/server/system.ts'
import { eachCall } from '../../support/each-call.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { Random, SEED } from '../../support/random.ts'
import { HttpConnection } from '../../support/raw-http.ts'
import { publicKey } from '../../support/relay.ts'
import { startRelay } from '../../support/server.ts'
import { DEAD_CODES, makeDeadCodes } from './dead-codes.ts'

/** Nobody learns from an answer whether a sender code that is of no use ever was of any. */

/** Least cost of a step that only some codes take, were it a look into anything; in milliseconds. */
const NOTICEABLE_MS = 0.04
/** How often a request for one kind may take longer than one for an unknown code. A token drawn and hashed only for some makes it 0.65. */
const CHANCE = { from: 0.42, to: 0.58 }
const ROUNDS = 400
const ATTEMPTS = 5

const clock = new FakeClock()
const steps: string[] = []
const recorded = <T extends object>(port: T, name: string): T =>
  eachCall(port, (call, method) => {
    steps.push(`${name}.${String(method)}`)
    return call()
  })
const secrets: Secrets = recorded(systemSecrets, 'secrets')
const relay = await startRelay({
  clock,
  secrets,
  wrapSessions: (store) => recorded(store, 'sessions'),
  wrapMailboxes: (store) => recorded(store, 'mailboxes'),
})
/** The same without anything between the relay and its ports, for what is measured. */
const plainClock = new FakeClock()
const plain = await startRelay({ clock: plainClock, logLevel: 'info' })
const attacker = new HttpConnection(relay.port)
const stopwatch = new HttpConnection(plain.port)
afterAll(async () => {
  for (const connection of [attacker, stopwatch]) connection.close()
  for (const each of [relay, plain]) await each.close()
})
const codes = await makeDeadCodes(relay, clock)
await makeDeadCodes(plain, plainClock)
const kinds = DEAD_CODES.map(({ what }) => what)

/** A join with a receiver code that those sessions that had receivers know already. */
function requestOf(kind: string): Buffer {
  const body = JSON.stringify({ senderCode: codes.get(kind), receiverCode: 'first', publicKey: publicKey(2) })
  return Buffer.from(
    'POST /v1/receivers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
      `Content-Length: ${body.length}\r\n\r\n${body}`,
  )
}
const requests = new Map(kinds.map((kind) => [kind, requestOf(kind)]))

async function ask(kind: string, connection = attacker): Promise<Buffer> {
  const answer = await connection.ask(requests.get(kind) ?? Buffer.alloc(0))
  if (!answer) throw new Error('no answer')
  return answer.bytes
}

describe.each(kinds)('a sender code that is %s', (kind) => {
  test('gets the very bytes that an unknown one gets, the date aside', async () => {
    const shown = (bytes: Buffer) => bytes.toString('latin1').replace(/\r\nDate: [^\r]+/, '')
    const answer = shown(await ask(kind))
    expect(answer).toMatch(/^HTTP\/1\.1 404 /)
    expect(answer).toContain('"code":"session_not_found"')
    expect(answer).toBe(shown(await ask('unknown')))
  })

  test('leaves the line in the log that an unknown one leaves', async () => {
    const linesOf = async (each: string) => {
      const before = relay.log.length
      await ask(each)
      return relay.log.slice(before).map((line) => line.replace(/"(time|ms|reqId)":("[^"]*"|\d+),?/g, ''))
    }
    expect(await linesOf(kind)).toEqual(await linesOf('unknown'))
  })
})

test('the relay takes the same steps for each of them', async () => {
  const stepsOf = async (kind: string) => {
    steps.length = 0
    await ask(kind)
    return [...steps]
  }
  const expected = await stepsOf('unknown')
  expect(expected).toContain('sessions.findByCode')
  for (const kind of kinds) expect(await stepsOf(kind), kind).toEqual(expected)
})

test(`they are answered in the same time, statistically (seed ${SEED})`, async () => {
  const random = new Random('oracle')
  const times = new Map<string, number[]>(kinds.map((kind) => [kind, []]))
  for (let i = 0; i < 200; i++) await ask(random.pick(kinds), stopwatch)
  let faults: string[] = []
  // More samples before anything is believed: what is there stays, and what was chance goes.
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    for (let round = 0; round < ROUNDS; round++) {
      for (const kind of random.shuffled(kinds)) {
        const began = performance.now()
        await ask(kind, stopwatch)
        times.get(kind)?.push(performance.now() - began)
      }
    }
    faults = faultsOf(times)
    if (faults.length === 0) return
  }
  expect(faults).toEqual([])
})

/** Kinds whose times are not those of an unknown code. */
function faultsOf(times: ReadonlyMap<string, readonly number[]>): string[] {
  return kinds.flatMap((kind) => {
    const mine = [...(times.get(kind) ?? [])].sort(ascending)
    const unknown = [...(times.get('unknown') ?? [])].sort(ascending)
    const apart = median(mine) - median(unknown)
    const slower = chanceOfSlower(mine, unknown)
    const fault = Math.abs(apart) > NOTICEABLE_MS || slower < CHANCE.from || slower > CHANCE.to
    return fault ? [`${kind}: ${apart.toFixed(4)} ms apart, slower in ${slower.toFixed(3)}`] : []
  })
}

/** Of all pairs, the part in which `mine` is the larger (Mann and Whitney). Both are sorted. */
function chanceOfSlower(mine: readonly number[], others: readonly number[]): number {
  let below = 0
  let pairs = 0
  for (const time of mine) {
    while (below < others.length && others[below] < time) below++
    pairs += below
  }
  return pairs / (mine.length * others.length)
}

function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)]
}

function ascending(a: number, b: number): number {
  return a - b
}
