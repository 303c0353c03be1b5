import type { Environment, WebSocketLike } from '../../../src/client/environment.ts'
import { ciphertextOf, decodeFrame, encodeData, FRAME_DATA } from '../../../src/protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../../../src/protocol/limits.ts'
import { SUBPROTOCOL, type View } from '../../../src/protocol/view.ts'
import { receiverWithoutCode, SYMBOLS } from './budgets.ts'
import { Seed } from './seed.ts'
import { RELAY_URL, type World } from './worlds.ts'

/** Strangers: many addresses that know a locator and no code, each as fast as one address may be. */

/** The documented defaults of an address: joins and creates a minute, with bursts of the same. */
const JOINS_A_MINUTE = 30
const CREATES_A_MINUTE = 60
const SOCKETS_MAX = 64
/** How often a client without a socket asks, to be taken for present. */
const POLL_EVERY_MS = 45_000
const RECEIVERS = 8
/** Cost of a frame that is to fill a window. */
const FILL_BYTES = 65_536
/** Of so many strangers one joins in a second. */
const TURNS = 6

/** A bucket that is filled by the documented rate. */
class Allowance {
  readonly #perMinute: number
  readonly #now: () => number
  #left: number
  #at: number

  constructor(perMinute: number, now: () => number) {
    this.#perMinute = perMinute
    this.#now = now
    this.#left = perMinute
    this.#at = now()
  }

  take(): boolean {
    const now = this.#now()
    this.#left = Math.min(this.#perMinute, this.#left + ((now - this.#at) / 60_000) * this.#perMinute)
    this.#at = now
    if (this.#left < 1) return false
    this.#left--
    return true
  }
}

interface Member {
  readonly sessionId: string
  readonly token: string
}

/** Somebody who joined without the code, with the messages of one that has all else. */
interface Joined extends Member {
  readonly channel: number
  readonly receiverCode: string
  readonly m1: Uint8Array
  readonly m3: Uint8Array
}

/** An address. Its devices know nothing but a locator. */
export class Stranger {
  readonly number: number
  readonly seed: Seed
  readonly #environment: Environment
  readonly #joins: Allowance
  readonly #creates: Allowance
  readonly #sockets = new Set<WebSocketLike>()
  readonly #polls: { member: Member; at: number }[] = []
  #turns = 0
  #own: { member: Member; locator: string; joins: number; socket?: WebSocketLike | undefined } | undefined

  constructor(number: number, seed: Seed, environment: Environment) {
    this.number = number
    this.seed = seed
    this.#environment = environment
    this.#joins = new Allowance(JOINS_A_MINUTE, environment.now)
    this.#creates = new Allowance(CREATES_A_MINUTE, environment.now)
  }

  /** Undefined when this address has to wait. */
  async join(locator: string): Promise<Joined | 'refused' | undefined> {
    if (!this.#joins.take()) return undefined
    const { receiverCode, publicKey, m1, m3 } = receiverWithoutCode(this.seed)
    const body = { senderCode: locator, receiverCode, publicKey: Buffer.from(publicKey).toString('base64url') }
    const answer = await this.#ask('POST', '/v1/receivers', body)
    if (!answer) return 'refused'
    return { ...(answer as Member & { channel: number }), receiverCode, m1, m3 }
  }

  /** A session of its own, for as long as it may last. Undefined when this address has to wait. */
  async create(): Promise<{ member: Member; locator: string } | 'refused' | undefined> {
    if (!this.#creates.take()) return undefined
    const locator = this.word(5)
    const clientId = this.word(20)
    const asked = { clientId, senderCode: locator, maxReceivers: RECEIVERS, ttlSeconds: 3_600 }
    const answer = await this.#ask('POST', '/v1/sessions', asked)
    if (!answer) return 'refused'
    return { member: answer as Member, locator }
  }

  async leave({ sessionId, token, receiverCode }: Joined): Promise<void> {
    await this.#ask('DELETE', `/v1/sessions/${sessionId}/receivers/${receiverCode}`, undefined, token)
  }

  /** Joins a session of its own and approves that; a new session for every eight. */
  async joinOwn(): Promise<Joined | 'refused' | undefined> {
    if (!this.#own || this.#own.joins === RECEIVERS) {
      const made = await this.create()
      if (made === undefined || made === 'refused') return made
      this.#own = { ...made, joins: 0 }
    }
    const { member, locator } = this.#own
    const joined = await this.join(locator)
    if (joined === undefined || joined === 'refused') return joined
    this.#own.joins++
    const path = `/v1/sessions/${member.sessionId}/receivers/${joined.receiverCode}/decision`
    await this.#ask('PUT', path, { decision: 'approved' }, member.token)
    return joined
  }

  /** Attaches over HTTP, and keeps asking as seldom as it may. */
  async attachOverHttp(member: Member): Promise<void> {
    await this.#ask('PUT', `/v1/sessions/${member.sessionId}/attachment`, { channels: [] }, member.token)
    this.#polls.push({ member, at: this.#environment.now() })
  }

  /** Attaches both ends of its own channel, and writes as much to its own receiver as the relay takes. It reads nothing. */
  fill(joined: Joined): void {
    const own = this.#own
    if (!own || this.attach(joined, () => {}) === undefined) return
    const written = new Map<number, number>()
    own.socket ??= this.attach(
      own.member,
      () => {},
      (view, socket) => {
        for (const { channel, window } of view.channels) {
          for (let seq = (written.get(channel) ?? 0) + 1; seq * FILL_BYTES <= window; seq++) {
            socket.send(encodeData(channel, seq, new Uint8Array(FILL_BYTES - FRAME_HEADER_BYTES)))
            written.set(channel, seq)
          }
        }
      },
    )
  }

  /** Polls that keep clients over HTTP present. */
  async poll(): Promise<void> {
    const now = this.#environment.now()
    for (const each of this.#polls) {
      if (now - each.at < POLL_EVERY_MS) continue
      each.at = now
      const { sessionId, token } = each.member
      await this.#ask('GET', `/v1/sessions/${sessionId}?waitMs=0`, undefined, token)
    }
  }

  /** A socket that attaches, and tells what comes. Undefined when this address has too many. */
  attach(
    member: Member,
    hears: (ciphertext: Uint8Array, socket: WebSocketLike) => void,
    sees: (view: View, socket: WebSocketLike) => void = () => {},
  ): WebSocketLike | undefined {
    if (this.#sockets.size >= SOCKETS_MAX) return undefined
    const url = `${RELAY_URL.replace('http', 'ws')}/v1/sessions/${member.sessionId}/socket`
    const socket = this.#environment.openWebSocket(url, SUBPROTOCOL)
    socket.binaryType = 'arraybuffer'
    this.#sockets.add(socket)
    socket.onopen = () => socket.send(JSON.stringify({ type: 'attach', token: member.token, channels: [] }))
    socket.onerror = () => {}
    socket.onclose = () => this.#sockets.delete(socket)
    socket.onmessage = ({ data }) => {
      if (typeof data === 'string') return sees(JSON.parse(data), socket)
      const frame = decodeFrame(new Uint8Array(data as ArrayBuffer))
      if (frame.type === FRAME_DATA) hears(ciphertextOf(frame), socket)
    }
    return socket
  }

  cut(socket: WebSocketLike): void {
    this.#sockets.delete(socket)
    socket.close()
  }

  /** Attaches and sends m1 at once. `answered` is told m2. */
  say(joined: Joined, m1: Uint8Array, answered: (m2: Uint8Array, socket: WebSocketLike) => void): void {
    const socket = this.attach(joined, (m2) => answered(m2, socket as WebSocketLike))
    if (!socket) return
    const { onopen } = socket
    socket.onopen = () => {
      onopen?.()
      socket.send(encodeData(joined.channel, 1, m1))
    }
  }

  /** Reports whether this second is this client's turn. */
  turn(): boolean {
    return ++this.#turns % TURNS === this.number % TURNS
  }

  word(length: number): string {
    return Array.from({ length }, () => this.seed.pick([...SYMBOLS])).join('')
  }

  async #ask(method: string, path: string, body?: unknown, token?: string): Promise<unknown> {
    const answer = await this.#environment.fetch(RELAY_URL + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return answer.ok ? JSON.parse(text || '{}') : undefined
  }
}

export interface Attack {
  readonly name: string
  /** Everything an address can still do this second. Called once a second. */
  readonly act: (attacker: Stranger, locator: string) => Promise<void>
  /** How long it lasts before an honest person tries, in seconds; each time it is another session. */
  readonly before: readonly number[]
  /** Where the sender's person sees that somebody is there: among those that wait, or that failed. */
  readonly seen: 'waiting' | 'failed' | 'nowhere'
}

/** With the honest receiver, while the first ones time out, after those, and when each address has long had its share. */
const SOONER_AND_LATER = [0, 2, 15, 45, 200]

const often = async (act: () => Promise<boolean>): Promise<void> => {
  while (await act());
}

type Then = (attacker: Stranger, joined: Joined) => Promise<void> | void

/** Joins for as long as that is possible; `then` does something with each that is in. */
const joining =
  (then: Then, join = (attacker: Stranger, locator: string) => attacker.join(locator)): Attack['act'] =>
  (attacker, locator) =>
    often(async () => {
      const joined = await join(attacker, locator)
      if (joined && joined !== 'refused') await then(attacker, joined)
      return joined !== undefined
    })

/** The same, and keeps those present that attached over HTTP. */
const polling =
  (act: Attack['act']): Attack['act'] =>
  async (attacker, locator) => {
    await act(attacker, locator)
    await attacker.poll()
  }
const own = (then: Then) => polling(joining(then, (attacker) => attacker.joinOwn()))

const silent: Then = (attacker, joined) => void attacker.attach(joined, () => {})
const silentAfterM1: Then = (attacker, joined) => attacker.say(joined, joined.m1, () => {})
const leaveAfterM2: Then = (attacker, joined) => attacker.say(joined, joined.m1, (_, socket) => attacker.cut(socket))
const noise =
  (length?: number): Then =>
  (attacker, joined) =>
    attacker.say(joined, attacker.seed.bytes(length ?? joined.m1.length), () => {})
const brokenCommitment: Then = (attacker, joined) =>
  attacker.say(joined, joined.m1, (_, socket) => {
    const m3 = joined.m3.slice()
    m3.set(receiverWithoutCode(attacker.seed).m3.subarray(32), 0)
    socket.send(encodeData(joined.channel, 2, m3))
  })
/** Spends a guess of the code with each. */
const guess: Then = (attacker, joined) =>
  attacker.say(joined, joined.m1, (_, socket) => socket.send(encodeData(joined.channel, 2, joined.m3)))
const leave: Then = (attacker, joined) => attacker.leave(joined)
const absent: Then = () => {}
const presentWithoutSocket: Then = (attacker, joined) => attacker.attachOverHttp(joined)
const WAYS = [absent, leaveAfterM2, silentAfterM1, silent, leave, noise(), brokenCommitment].map((way) => joining(way))

const againstCode = (name: string, seen: Attack['seen'], act: Attack['act']): Attack => ({
  name,
  act,
  before: SOONER_AND_LATER,
  seen,
})

/** Against a code whose locator is known. */
export const AGAINST_A_CODE: readonly Attack[] = [
  againstCode('take turns, a few joins a second, and stay silent, attached', 'waiting', async (attacker, locator) => {
    const joined = attacker.turn() ? await attacker.join(locator) : undefined
    if (joined && joined !== 'refused') await silentAfterM1(attacker, joined)
  }),
  againstCode('join and never attach', 'waiting', joining(absent)),
  againstCode('send m1 and leave after m2', 'waiting', joining(leaveAfterM2)),
  againstCode('send m1 and stay silent, attached', 'waiting', joining(silentAfterM1)),
  againstCode('attach and send nothing', 'waiting', joining(silent)),
  againstCode('attach over HTTP and send nothing', 'waiting', polling(joining(presentWithoutSocket))),
  againstCode('join and leave, again and again', 'nowhere', joining(leave)),
  againstCode('send noise for m1', 'failed', joining(noise())),
  againstCode('send an m1 of another length', 'failed', joining(noise(32))),
  againstCode('break their own commitment', 'failed', joining(brokenCommitment)),
  againstCode('do all of this, each address something else', 'nowhere', (attacker, locator) =>
    (WAYS[attacker.number % WAYS.length] as Attack['act'])(attacker, locator),
  ),
]

/** Ends a code by design: five wrong guesses, from whom ever they are. */
export const GUESSING: Attack = { name: 'guess', act: joining(guess), before: [2], seen: 'failed' }

const againstRelay = (name: string, act: Attack['act']): Attack => ({ name, act, before: [30], seen: 'nowhere' })

/** Against a whole relay, with little memory: what takes fifty addresses minutes otherwise takes half of one. */
export const AGAINST_A_RELAY: readonly Attack[] = [
  againstRelay('approve their own receivers, who never attach', own(absent)),
  againstRelay('approve their own receivers, who attach over HTTP', own(presentWithoutSocket)),
  againstRelay(
    'fill the windows of their own pairs, and read nothing',
    own((attacker, joined) => attacker.fill(joined)),
  ),
  againstRelay(
    'leave their own receivers pending, attached over HTTP',
    polling((attacker) =>
      often(async () => {
        const made = await attacker.create()
        for (let i = 0; made && made !== 'refused' && i < 2; i++) {
          const joined = await attacker.join(made.locator)
          if (joined && joined !== 'refused') await attacker.attachOverHttp(joined)
        }
        return made !== undefined
      }),
    ),
  ),
  againstRelay('create sessions', (attacker) => often(async () => (await attacker.create()) !== undefined)),
  againstRelay('enter codes that nobody has', (attacker) =>
    often(async () => (await attacker.join(attacker.word(5))) !== undefined),
  ),
]

/** So many addresses, each with a seed of its own. */
export async function strangers(world: World, count: number, name: string): Promise<Stranger[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, number) => {
      const seed = new Seed('stranger', name, number)
      const address = `203.0.113.${number + 1}`
      return new Stranger(number, seed, await world.device(address, seed, number % 2 === 0 ? 'last' : 'first'))
    }),
  )
}
