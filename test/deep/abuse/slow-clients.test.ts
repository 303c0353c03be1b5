import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BINARY, TEXT, upgradeRequest, wsFrame } from '../../conformance/raw.ts'
import { expectHealthy, expectIdle, warmUp } from '../../support/health.ts'
import { call } from '../../support/http.ts'
import { startRelayProcess } from '../../support/relay-process.ts'

/** Clients that begin something and hardly continue, or not at all. The benchmark measures what they cost others. */

/** Clients of each kind, at once. */
const CROWD = 200
const DRIP_EVERY_MS = 20
/** The part of a crowd that says a byte then: each client says two a second. */
const DRIP = 1 / 25

interface Member {
  readonly sessionId: string
  readonly token: string
}

/** Makes what a client says at once, and what it says one byte at a time from then on. */
type Slow = (member: Member) => { readonly first: string | Buffer; readonly drops?: Buffer }

const NOBODY: Member = { sessionId: 'A'.repeat(22), token: 'A'.repeat(43) }
const endless = Buffer.alloc(4_000, 'x')
const upgrade = ({ sessionId }: Member) => upgradeRequest(`/v1/sessions/${sessionId}/socket`)
const attach = ({ token }: Member) => wsFrame(TEXT, JSON.stringify({ type: 'attach', token, channels: [] }))
const attached = (member: Member) => Buffer.concat([Buffer.from(upgrade(member)), attach(member)])

/** Section 7 of PROTOCOL.md: headers in 8 s, all of a request in 10 s. */
const REQUESTS: readonly Slow[] = [
  () => ({ first: '' }),
  () => ({ first: 'GET /version HTTP/1.1\r\nHost: x\r\nX: ', drops: endless }),
  () => ({
    first: 'POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8000\r\n\r\n{"',
    drops: endless,
  }),
]

/** Section 5.1: the attach in 5 s. */
const UNATTACHED: readonly Slow[] = [
  (member) => ({ first: upgrade(member) }),
  (member) => ({ first: upgrade(member), drops: attach(member) }),
]

/** Section 5.8: cut when two pings are unanswered. A client within a frame answers none: nothing may come between its bytes. */
const ATTACHED: readonly Slow[] = [
  (member) => ({ first: attached(member) }),
  (member) => ({ first: attached(member), drops: wsFrame(BINARY, endless) }),
]

const relay = await startRelayProcess()
beforeAll(() => warmUp(relay))
afterAll(() => relay.stop())
let made = 0

/** A client, and its connection's end. It ends nothing itself. */
class SlowClient {
  over = false
  readonly ended: Promise<void>
  readonly #socket: Socket
  readonly #drops: Buffer
  #at = 0

  constructor(slow: Slow, member: Member) {
    const { first, drops = Buffer.alloc(0) } = slow(member)
    this.#drops = drops
    this.#socket = connect({ port: relay.port, host: '127.0.0.1', allowHalfOpen: true })
    this.#socket.setNoDelay(true).on('error', () => {})
    if (first.length > 0) this.#socket.write(first)
    this.#socket.resume()
    this.ended = new Promise<void>((resolve) => this.#socket.once('end', resolve).once('close', () => resolve())).then(
      () => {
        this.over = true
        this.#socket.destroy()
      },
    )
  }

  drip(): void {
    if (this.#at < this.#drops.length && this.#socket.writable)
      this.#socket.write(this.#drops.subarray(this.#at, ++this.#at))
  }
}

test.each([
  ['before a request is whole', REQUESTS, 0],
  ['before they attach', UNATTACHED, 0],
  // The relay's clock is moved, in steps, to when the second ping has been unanswered.
  ['after they attached', ATTACHED, 3],
] as const)(
  `${CROWD} clients each that are slow %s are ended, and honest ones pair meanwhile`,
  async (_, kinds, steps) => {
    const before = await relay.state()
    const clients: SlowClient[] = []
    let drips = 0
    const dripping = setInterval(() => {
      for (let i = 0; i < clients.length * DRIP; i++) clients[drips++ % clients.length].drip()
    }, DRIP_EVERY_MS)
    for (let i = 0; i < CROWD; i++) {
      for (const slow of kinds) clients.push(new SlowClient(slow, steps > 0 ? await newMember() : NOBODY))
      if (i % 20 === 0) await expectHealthy(relay)
    }
    for (let step = 0; step < steps; step++) {
      expect(clients.filter(({ over }) => over)).toEqual([])
      await relay.advance(25_000)
    }
    let over = false
    const ended = Promise.all(clients.map((client) => client.ended)).then(() => {
      over = true
    })
    while (!over) await expectHealthy(relay)
    await ended
    clearInterval(dripping)
    await expectIdle(relay, before)
  },
)

async function newMember(): Promise<Member> {
  const name = `slow-${++made}`
  return (await call(relay.url, 'POST', '/v1/sessions', { body: { clientId: name, senderCode: name } })).json()
}
