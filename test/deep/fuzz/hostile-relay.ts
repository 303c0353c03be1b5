import type { Environment } from '../../../src/client/environment.ts'
import { bytesSource, PairingError, Receiver, Sender } from '../../../src/client/index.ts'
import { HttpSocket } from '../../../src/client/link/http-socket.ts'
import { generatePairingCode } from '../../../src/crypto/pairing-code.ts'
import { WatchedSocket } from '../../e2e/world.ts'
import type { Random } from '../../support/random.ts'
import { Seed } from '../adversary/seed.ts'
import { RELAY_URL, type World } from '../adversary/worlds.ts'
import { FRAME_CLASSES, HTTP_CLASSES, JSON_CLASSES } from './hostile-values.ts'

/** A relay that changes what it says to one of two real SDKs. */

export type Victim = 'sender' | 'receiver'
/** Alone, a sender has no receiver, or a receiver meets nobody at the other end. */
export type Company = 'alone' | 'both'
export type Way = 'WebSocket' | 'HTTP'

/** How many inputs were changed, by class. */
export type Tally = Map<string, number>

/** The most changed copies of one message. */
const BURST_MAX = 6

/** Changes inputs of one device from the nth on, at random. */
class Hostile {
  readonly changes: string[] = []
  readonly #random: Random
  readonly #from: number
  readonly #tally: Tally
  #seen = 0

  constructor(random: Random, from: number, tally: Tally) {
    this.#random = random
    this.#from = from
    this.#tally = tally
  }

  /** Sends in place of a socket's message, or after it, while somebody listens. */
  *messages(data: string | Uint8Array): Generator<string | Uint8Array> {
    const changes = this.#turn() ? this.#random.between(1, BURST_MAX) : 0
    if (changes === 0 || this.#random.chance(0.4)) yield data
    for (let i = 0; i < changes; i++) yield typeof data === 'string' ? this.#json(data) : this.#frame(data)
  }

  async answer(answer: Response): Promise<Response> {
    if (!this.#turn()) return answer
    const body = new Uint8Array(await answer.arrayBuffer())
    const isJson = answer.headers.get('content-type')?.includes('json') === true
    if (this.#random.chance(0.3) || answer.status === 204) {
      const name = this.#random.pick(Object.keys(HTTP_CLASSES))
      this.#count(name)
      return (HTTP_CLASSES[name] as (typeof HTTP_CLASSES)[string])(this.#random, answer, body)
    }
    const changed = isJson ? Buffer.from(this.#json(Buffer.from(body).toString())) : this.#ciphertext(body)
    const headers = new Headers(answer.headers)
    headers.delete('content-length')
    return new Response(new Uint8Array(changed), { status: answer.status, headers })
  }

  #turn(): boolean {
    return ++this.#seen > this.#from && this.#random.chance(0.5)
  }

  #json(text: string): string {
    const name = this.#random.pick(Object.keys(JSON_CLASSES))
    this.#count(name)
    return (JSON_CLASSES[name] as (typeof JSON_CLASSES)[string])(this.#random, JSON.parse(text))
  }

  #frame(frame: Uint8Array): string | Uint8Array {
    const name = this.#random.pick(Object.keys(FRAME_CLASSES))
    this.#count(name)
    return (FRAME_CLASSES[name] as (typeof FRAME_CLASSES)[string])(this.#random, frame)
  }

  #ciphertext(bytes: Uint8Array): Uint8Array {
    this.#count('cut and changed frames')
    const copy = bytes.slice(0, this.#random.below(bytes.length + 1))
    return this.#random.chance(0.5) ? this.#random.bytes(bytes.length) : copy
  }

  #count(name: string): void {
    this.changes.push(name)
    this.#tally.set(name, (this.#tally.get(name) ?? 0) + 1)
  }
}

/** The victim's network: everything it hears goes through the hostile relay. */
function through(environment: Environment, hostile: Hostile, way: Way): Environment {
  const fetch: Environment['fetch'] = async (url, init) => hostile.answer(await environment.fetch(url, init))
  return {
    ...environment,
    fetch,
    openWebSocket: (url, protocol) => {
      if (way === 'HTTP') throw new Error('no WebSocket passes')
      const socket: WatchedSocket = new WatchedSocket(
        environment.openWebSocket(url, protocol),
        {
          incoming: (data) => {
            for (const each of hostile.messages(data)) {
              if (socket.closed) break
              socket.inject(typeof each === 'string' ? each : (new Uint8Array(each).buffer as unknown as Uint8Array))
            }
            return undefined
          },
        },
        () => {},
      )
      return socket
    },
    openHttpSocket: (sessionUrl, inner) => new HttpSocket(sessionUrl, { ...inner, fetch }),
  }
}

export interface Plan {
  readonly victim: Victim
  readonly company: Company
  readonly way: Way
  /** Nobody else's. */
  readonly address: string
  /** How many inputs the victim hears as they are. */
  readonly from: number
  readonly random: Random
  readonly tally: Tally
}

/** How long people wait in the end, before both put their devices away. */
const PATIENCE_MS = 30_000
const ALONE_MS = 3_000

/** Pairs over a hostile relay. Returns the faults. */
export async function suffer(world: World, plan: Plan): Promise<string[]> {
  const { victim, company, way, address, from, random, tally } = plan
  const { name } = random
  const faults: string[] = []
  const hostile = new Hostile(random, from, tally)
  const device = async (role: Victim) => {
    const environment = await world.device(address, new Seed(name, role))
    return role === victim ? through(environment, hostile, way) : environment
  }
  const guarded = async <T>(what: string, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await work
    } catch (error) {
      if (!(error instanceof PairingError)) faults.push(`${what} threw ${error instanceof Error ? error.stack : error}`)
      return undefined
    }
  }
  const leave = new AbortController()
  const patience = world.time.setTimeout(() => leave.abort(), company === 'alone' ? ALONE_MS : PATIENCE_MS)
  const opened = async () =>
    guarded('open', Sender.open({ relay: RELAY_URL, environment: await device('sender'), signal: leave.signal }))
  const joined = async (code: string) =>
    guarded(
      'join',
      Receiver.join({ relay: RELAY_URL, code, environment: await device('receiver'), signal: leave.signal }),
    )
  try {
    const nobody = company === 'alone' && victim === 'receiver'
    const sender = nobody ? undefined : await opened()
    const code = nobody ? await registered(await device('sender'), new Seed(name, 'code')) : sender?.code
    const joins = code !== undefined && (company === 'both' || victim === 'receiver')
    const receiver = joins ? await joined(code) : undefined
    await Promise.all([
      sender && guarded('send', sendFrom(sender)),
      receiver && guarded('receive', receiveAt(receiver)),
    ])
    await Promise.all([sender && guarded('cancel', sender.cancel()), receiver && guarded('close', receiver.close())])
  } finally {
    world.time.clearTimeout(patience)
  }
  return faults.map((fault) => `${name}, ${way}, ${victim}, ${hostile.changes.join(' + ')}: ${fault}`)
}

/** The code of a session whose sender never comes. */
async function registered({ fetch }: Environment, seed: Seed): Promise<string> {
  const { text, locator } = generatePairingCode((length) => seed.bytes(length))
  const body = JSON.stringify({ clientId: 'nobody', senderCode: locator })
  const headers = { 'content-type': 'application/json' }
  await fetch(`${RELAY_URL}/v1/sessions`, { method: 'POST', headers, body })
  return text
}

const CONTENT = new Uint8Array(150_000).fill(97)

async function sendFrom(sender: Sender): Promise<void> {
  for await (const request of sender.requests()) {
    await request.approve()
    await sender.send([bytesSource(CONTENT, 'file')])
    await sender.close()
    return
  }
}

async function receiveAt(receiver: Receiver): Promise<void> {
  receiver.verified.catch(() => {})
  for await (const offer of receiver.offers()) {
    for await (const { stream } of offer.accept()) {
      for await (const _ of stream);
    }
  }
}
