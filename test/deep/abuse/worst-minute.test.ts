import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { call } from '../../support/http.ts'
import { publicKey } from '../../support/relay.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { WireSocket } from '../../support/wire-socket.ts'
import { worstOf } from './worst.ts'

/** A client address against everybody else's pairings, with default limits and a small budget. */

const MIB = 1024 * 1024
const BUDGET_BYTES = 64 * MIB
/** Memory that a relay may use beside its budget. */
const PROCESS_BYTES = 96 * MIB
/** Rounds, each three seconds of the relay's time: a second is waited for, and two are advanced. */
const PAIRINGS = 20

const relay = await startRelayProcess({
  TRUST_PROXY: '127.0.0.1',
  RATE_LIMIT: 'on',
  MEMORY_BUDGET_BYTES: String(BUDGET_BYTES),
})
afterAll(() => relay.stop())
// A process that lives in /proc tells the most memory it ever had.
const peakBytes = () => Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${relay.pid}/status`, 'utf8'))?.[1]) * 1024

test.skipIf(process.platform !== 'linux')(
  'one client address does its worst for a minute: all others pair, and memory stays in its bound',
  async () => {
    for (let i = 0; i < 10; i++) await pairFrom(`192.0.2.${i + 1}`)
    const attacker = await worstOf({ port: relay.port, localAddress: '127.0.0.2' })
    try {
      for (let second = 0; second < PAIRINGS; second++) {
        await pairFrom(`198.51.100.${second + 1}`)
        await relay.advance(2_000)
      }
    } finally {
      await attacker.stop()
    }
    const said = [...attacker.answers].map(
      ([kind, statuses]) => `${kind}: ${[...statuses].map((each) => each.join(' ')).join(', ')}`,
    )
    process.stdout.write(`${said.join('\n')}\nat most ${Math.round(peakBytes() / MIB)} MiB\n`)
    for (const kind of ['create', 'join', 'silent socket', 'held poll', 'big command']) {
      expect(attacker.answers.get(kind)?.get('429'), `${kind} refused`).toBeGreaterThan(0)
    }
    expect(attacker.answers.get('big body')?.get('401')).toBeGreaterThan(0)
    expect(peakBytes()).toBeLessThan(BUDGET_BYTES + PROCESS_BYTES)
    expect(relay.failures).toEqual([])
  },
)

/** An honest pairing from an address of its own, by way of a proxy. */
async function pairFrom(address: string): Promise<void> {
  const headers = { 'x-forwarded-for': address }
  const senderCode = randomBytes(9).toString('base64url')
  const post = async (path: string, body: unknown) => {
    const answer = await call(relay.url, 'POST', path, { body, headers })
    expect(answer.status, answer.text).toBe(201)
    return answer.json<{ sessionId: string; token: string }>()
  }
  const sender = await post('/v1/sessions', { clientId: senderCode, senderCode, maxReceivers: 1 })
  const receiver = await post('/v1/receivers', { senderCode, receiverCode: 'honest', publicKey: publicKey(7) })
  const session = `/v1/sessions/${sender.sessionId}`
  const S = await WireSocket.attach(relay.url, sender, [], { headers })
  const R = await WireSocket.attach(relay.url, receiver, [], { headers })
  const approval = { token: sender.token, headers, body: { decision: 'approved' } }
  expect((await call(relay.url, 'PUT', `${session}/receivers/honest/decision`, approval)).status).toBe(204)
  S.data(1, 1, 'to the receiver')
  R.data(1, 1, 'to the sender')
  await R.until(() => R.texts.includes('to the receiver'))
  await S.until(() => S.texts.includes('to the sender'))
  expect((await call(relay.url, 'DELETE', session, { token: sender.token, headers })).status).toBe(204)
  expect((await S.closed()).code).toBe(4410)
  expect((await R.closed()).code).toBe(4410)
}
