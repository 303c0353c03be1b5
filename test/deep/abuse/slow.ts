import { connect } from 'node:net'
import { ATTACH_TIMEOUT_MS, MISSED_PINGS_MAX, SILENCE_MS } from '../../../src/protocol/limits.ts'
import { call } from '../../support/http.ts'
import { BINARY, TEXT, wsFrame } from '../../support/raw-web-socket.ts'
import type { RelayProcess } from '../../support/relay-process.ts'

/** Clients that begin something and hardly go on, or not at all. */
export interface Slow {
  readonly what: string
  /** What each of them says at once, and what it says one byte at a time from then on. */
  readonly say: (member: Member) => { readonly first: Buffer; readonly drops: Buffer }
  /** Whether each needs a session of its own. */
  readonly attached?: boolean
  /** After which time PROTOCOL.md has them gone, in milliseconds. */
  readonly closedAfter: number
  /** How much later it may be, in milliseconds. */
  readonly late: number
}

export interface Member {
  readonly sessionId: string
  readonly token: string
}

/** Time-outs are noticed when the relay next looks, once a second. The rest is for a machine that is busy. */
const LOOKS_MS = 2_500
/** What is told of its end has a second and a half to answer, before it is cut. */
const ANSWERS_MS = 1_500

const nothing = Buffer.alloc(0)
const endless = Buffer.alloc(4_000, 'x')

function upgrade(sessionId: string): Buffer {
  return Buffer.from(
    `GET /v1/sessions/${sessionId}/socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pairlay.v1\r\n\r\n',
  )
}

const attach = ({ token }: Member) => wsFrame(TEXT, JSON.stringify({ type: 'attach', token, channels: [] }))

/** Section 7: headers in 8 s, all of a request in 10 s. */
export const REQUESTS: readonly Slow[] = [
  { what: 'say nothing', closedAfter: 8_000, late: LOOKS_MS, say: () => ({ first: nothing, drops: nothing }) },
  {
    what: 'dribble headers',
    closedAfter: 8_000,
    late: LOOKS_MS,
    say: () => ({ first: Buffer.from('GET /version HTTP/1.1\r\nHost: x\r\nX: '), drops: endless }),
  },
  {
    what: 'dribble a body',
    closedAfter: 10_000,
    late: LOOKS_MS,
    say: () => ({
      first: Buffer.from(
        'POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 8000\r\n\r\n{"',
      ),
      drops: endless,
    }),
  },
]

/** Section 5.1: the attach in 5 s. */
export const UNATTACHED: readonly Slow[] = [
  {
    what: 'upgrade and say nothing',
    closedAfter: ATTACH_TIMEOUT_MS,
    late: LOOKS_MS + ANSWERS_MS,
    say: ({ sessionId }) => ({ first: upgrade(sessionId), drops: nothing }),
  },
  {
    what: 'dribble their attach',
    closedAfter: ATTACH_TIMEOUT_MS,
    late: LOOKS_MS + ANSWERS_MS,
    say: (member) => ({ first: upgrade(member.sessionId), drops: attach(member) }),
  },
]

/** Section 5.8: cut when two pings are unanswered. What dribbles a frame answers none: nothing may come between its bytes. */
export const ATTACHED: readonly Slow[] = [
  {
    what: 'attach and are gone without a word',
    attached: true,
    closedAfter: (MISSED_PINGS_MAX + 1) * SILENCE_MS,
    late: LOOKS_MS,
    say: (member) => ({ first: Buffer.concat([upgrade(member.sessionId), attach(member)]), drops: nothing }),
  },
  {
    what: 'attach and dribble a frame',
    attached: true,
    closedAfter: (MISSED_PINGS_MAX + 1) * SILENCE_MS,
    late: LOOKS_MS,
    say: (member) => ({
      first: Buffer.concat([upgrade(member.sessionId), attach(member)]),
      drops: wsFrame(BINARY, endless),
    }),
  },
]

/** So many slow clients of one kind, until the relay has ended them all. */
export class Crowd {
  readonly slow: Slow
  /** How long each was let live, in milliseconds. */
  readonly lived: number[] = []
  /** What the relay said to them, each counted. */
  readonly heard = new Map<string, number>()
  readonly #drips: (() => void)[] = []
  readonly #ends: Promise<void>[] = []
  #at = 0

  constructor(slow: Slow) {
    this.slow = slow
  }

  /** Opens one, and resolves when it is connected, or upgraded where it asks for that. */
  async add({ port }: RelayProcess, member: Member): Promise<void> {
    const { first, drops } = this.slow.say(member)
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.setNoDelay(true)
    socket.on('error', () => {})
    let began = 0
    let at = 0
    let heard = ''
    const connected = new Promise<void>((resolve) => {
      socket.once('connect', () => {
        began = performance.now()
        if (first.length > 0) socket.write(first)
        if (!first.includes('Upgrade')) resolve()
      })
      socket.once('data', () => resolve())
      socket.once('close', () => resolve())
    })
    socket.setEncoding('latin1').on('data', (text: string) => {
      heard ||= /^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? ''
    })
    this.#drips.push(() => {
      if (began > 0 && at < drops.length && socket.writable) socket.write(drops.subarray(at, ++at))
    })
    this.#ends.push(
      new Promise((resolve) => {
        const over = () => {
          if (began === 0) return
          this.lived.push(performance.now() - began)
          this.heard.set(heard, (this.heard.get(heard) ?? 0) + 1)
          began = 0
          socket.destroy()
          resolve()
        }
        // The end of what the relay says is the end: these clients end nothing themselves.
        socket.on('end', over)
        socket.on('close', over)
      }),
    )
    await connected
  }

  /** A byte more from the next part of them. */
  drip(part: number): void {
    const count = Math.floor(this.#drips.length * part)
    for (let i = 0; i < count; i++) this.#drips[this.#at++ % this.#drips.length]()
  }

  async gone(): Promise<void> {
    await Promise.all(this.#ends)
  }
}

/** A session for each slow client that attaches. */
export async function member(url: string, name: string): Promise<Member> {
  const body = { clientId: name, senderCode: name }
  return (await call(url, 'POST', '/v1/sessions', { body })).json()
}
