import type { ErrorCode } from '../../../src/protocol/errors.ts'
import type { Attach, CreateSessionRequest, DecisionRequest, JoinRequest } from '../../../src/protocol/requests.ts'
import type { View } from '../../../src/protocol/view.ts'
import type { RelaySettings } from '../../../src/relay/relay.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeSocket } from '../../support/fake-socket.ts'
import { type CallOptions, call } from '../../support/http.ts'
import { refusalOf } from '../../support/refusal.ts'
import { type Counters, type RelayOptions, settled, TestRelay } from '../../support/relay.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'
import { WireSocket } from '../../support/wire-socket.ts'

/** The same commands to a relay in memory and to one behind HTTP and WebSockets. */

export interface Member {
  readonly sessionId: string
  readonly token: string
}

/** Result of a command, or the code of its refusal. */
export type Outcome<T> = { readonly value: T } | { readonly refused: ErrorCode }

export interface Target {
  create(request: CreateSessionRequest): Promise<Outcome<Member>>
  join(request: JoinRequest, source: string): Promise<Outcome<Member>>
  view(member: Member): Promise<Outcome<View>>
  decide(member: Member, receiverCode: string, request: DecisionRequest): Promise<Outcome<unknown>>
  end(member: Member, receiverCode: string): Promise<Outcome<unknown>>
  retire(member: Member): Promise<Outcome<unknown>>
  close(member: Member): Promise<Outcome<unknown>>
  /** A socket that has said its attach. */
  attach(member: Member, channels: Attach['channels']): Promise<TargetSocket>
  /** Time passes, and the relay notices. */
  pass(milliseconds: number): Promise<void>
  /** Resolves when nothing more follows from what was said, and the relay holds so many sockets, or does not come to. */
  settle(sockets: number): Promise<void>
  counters(): Counters
  readonly failures: readonly unknown[]
  stop(): Promise<void>
}

export interface TargetSocket {
  say(data: string | Uint8Array): void
  cut(): void
  /** Close reason, or undefined while it is open. */
  closed(): string | undefined
  view(): View | undefined
  data(): { readonly channel: number; readonly seq: number; readonly text: string }[]
  acks(): ReadonlyMap<number, number>
  settle(): Promise<void>
}

export function memoryTarget(
  settings: Partial<RelaySettings>,
  stores: Pick<RelayOptions, 'wrapSessions' | 'wrapMailboxes'> = {},
): Target {
  const node = new TestRelay({ settings, ...stores })
  const sockets: FakeSocket[] = []
  const { relay } = node
  return {
    create: (request) => outcome(() => relay.createSession(request, '')),
    join: (request, source) => outcome(() => relay.join(request, source)),
    view: ({ sessionId, token }) => outcome(() => relay.view(sessionId, token, { version: undefined, waitMs: 0 })),
    decide: ({ sessionId, token }, code, request) => outcome(() => relay.decide(sessionId, token, code, request)),
    end: ({ sessionId, token }, code) => outcome(() => relay.endReceiver(sessionId, token, code)),
    retire: ({ sessionId, token }) => outcome(() => relay.retireCode(sessionId, token)),
    close: ({ sessionId, token }) => outcome(() => relay.closeSession(sessionId, token)),
    attach: async ({ sessionId, token }, channels) => {
      const socket = new FakeSocket(relay, sessionId)
      sockets.push(socket)
      socket.attach(token, channels)
      return {
        say: (data) => socket.say(data),
        cut: () => socket.vanish(),
        closed: () => socket.closedWith,
        view: () => socket.views.at(-1),
        data: () => socket.frames,
        acks: () => new Map(socket.acks.map(({ channel, seq }) => [channel, seq])),
        settle: settled,
      }
    },
    pass: async (milliseconds) => {
      node.clock.advance(milliseconds)
      // A session that ended at the first tick may be forgotten at the next.
      for (let round = 0; round < 2; round++) await node.tick()
    },
    settle: settled,
    counters: node.counters,
    get failures() {
      return [...node.failures, ...sockets.filter(({ violations }) => violations > 0)]
    },
    stop: async () => {},
  }
}

async function outcome<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  let value: T | undefined
  const refused = await refusalOf(async () => {
    value = await call()
  })
  return refused ? { refused } : { value: value as T }
}

export async function wireTarget(settings: Partial<RelaySettings>): Promise<Target> {
  const clock = new FakeClock()
  const relay = await startRelay({ settings, clock, logLevel: 'error', trustProxy: ['127.0.0.1'] })
  const sockets = new Set<WireTargetSocket>()
  const ask = async <T>(method: string, path: string, options: CallOptions): Promise<Outcome<T>> => {
    const answer = await call(relay.url, method, path, options)
    if (answer.status >= 400) return { refused: answer.problem().code as ErrorCode }
    return { value: (answer.text ? answer.json() : undefined) as T }
  }
  const session = ({ sessionId }: Member) => `/v1/sessions/${sessionId}`
  return {
    create: (body) => ask('POST', '/v1/sessions', { body }),
    join: (body, source) => ask('POST', '/v1/receivers', { body, headers: { 'x-forwarded-for': source } }),
    view: (member) => ask('GET', session(member), member),
    decide: (member, code, body) => ask('PUT', `${session(member)}/receivers/${code}/decision`, { ...member, body }),
    end: (member, code) => ask('DELETE', `${session(member)}/receivers/${code}`, member),
    retire: (member) => ask('DELETE', `${session(member)}/code`, member),
    close: (member) => ask('DELETE', session(member), member),
    attach: async (member, channels) => {
      const socket = new WireTargetSocket(relay, member.sessionId)
      sockets.add(socket)
      await socket.wire.opened()
      socket.say(JSON.stringify({ type: 'attach', token: member.token, channels }))
      return socket
    },
    pass: async (milliseconds) => {
      clock.advance(milliseconds)
      for (let round = 0; round < 2; round++) {
        await relay.tick()
        await settled()
      }
    },
    settle: async (count) => {
      for (const socket of sockets) if (socket.closed() !== undefined) sockets.delete(socket)
      await Promise.all([...sockets].map((socket) => socket.settle()))
      // In the same process: what a message leads to is done, and written to the other sockets, a turn later.
      await settled()
      await Promise.all([...sockets].map((socket) => socket.settle()))
      for (let turns = 0; turns < 2_000 && relay.counters().sockets !== count; turns++) await settled()
    },
    counters: () => relay.counters(),
    failures: relay.log,
    stop: async () => {
      for (const { wire } of sockets) wire.cut()
      await relay.close()
    },
  }
}

class WireTargetSocket implements TargetSocket {
  readonly wire: WireSocket

  constructor(relay: RunningRelay, sessionId: string) {
    this.wire = new WireSocket(relay.url, sessionId)
  }

  say(data: string | Uint8Array): void {
    this.wire.send(data)
  }

  cut(): void {
    this.wire.cut()
  }

  closed(): string | undefined {
    return this.wire.ending?.reason
  }

  view(): View | undefined {
    return this.wire.views.at(-1)
  }

  data() {
    return this.wire.messages.flatMap((each) =>
      each.kind === 'data' ? [{ channel: each.channel, seq: each.seq, text: each.bytes.toString('utf8', 8) }] : [],
    )
  }

  acks(): ReadonlyMap<number, number> {
    return new Map(this.wire.messages.flatMap((each) => (each.kind === 'ack' ? [[each.channel, each.seq]] : [])))
  }

  /** Resolves with the answer to a ping, or with the end of the socket. */
  async settle(): Promise<void> {
    const { socket } = this.wire
    if (this.wire.ending) return
    await new Promise<void>((resolve) => {
      socket.once('pong', () => resolve()).once('close', () => resolve())
      if (socket.readyState === socket.OPEN) socket.ping()
    })
  }
}
