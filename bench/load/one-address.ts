import { randomBytes } from 'node:crypto'
import { type Answer, HttpWire } from './http.ts'
import { freshCode } from './relay-client.ts'
import { measured } from './time.ts'
import type { Address } from './wire.ts'

/** Load from one client address, as much as its connections carry: a refused request is sent again at once. */

export interface OneAddressResult {
  readonly seconds: number
  /** Requests by status. */
  readonly answers: Readonly<Record<number, number>>
  /** Connections that the relay closed, or did not take. */
  readonly closed: number
}

/** A pause after a connection that was not taken, so that the flood is one of requests. */
const RECONNECT_MS = 20
const NO_SESSION = `/v1/sessions/${'A'.repeat(22)}`
const NO_TOKEN = 'A'.repeat(43)

/** Requests that need no knowledge, in turn. */
const ASKS: readonly ((wire: HttpWire) => Promise<Answer>)[] = [
  (wire) => {
    const publicKey = randomBytes(32).toString('base64url')
    return wire.request('POST', '/v1/receivers', {
      body: { senderCode: freshCode(), receiverCode: freshCode(), publicKey },
    })
  },
  (wire) =>
    wire.request('POST', '/v1/sessions', {
      body: { clientId: freshCode(), senderCode: freshCode(), maxReceivers: 8, ttlSeconds: 3600 },
    }),
  (wire) => wire.request('GET', NO_SESSION, { token: NO_TOKEN }),
  (wire) => wire.request('PUT', `${NO_SESSION}/channels/1/frames/1`, { token: NO_TOKEN, body: 'x'.repeat(4096) }),
]

let flooding = false

/** Asks until `stopOneAddress`, on so many connections from one source. */
export async function floodFromOneAddress(args: {
  address: Address
  connections: number
  source: string
}): Promise<OneAddressResult> {
  flooding = true
  const answers: Record<number, number> = {}
  let closed = 0
  const lane = async (first: number) => {
    let wire: HttpWire | undefined
    for (let turn = first; flooding; turn++) {
      try {
        wire ??= await HttpWire.connect(args.address, args.source)
        const { status } = await (ASKS[turn % ASKS.length] as (typeof ASKS)[number])(wire)
        answers[status] = (answers[status] ?? 0) + 1
      } catch {
        closed++
        wire = undefined
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS))
      }
    }
    wire?.close()
  }
  const { seconds } = await measured(() => Promise.all(Array.from({ length: args.connections }, (_, n) => lane(n))))
  return { seconds, answers, closed }
}

export async function stopOneAddress(): Promise<void> {
  flooding = false
}
