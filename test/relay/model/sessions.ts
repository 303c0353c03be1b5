import type { ErrorCode } from '../../../src/protocol/errors.ts'
import type { DenialReason } from '../../../src/protocol/fields.ts'
import { EPITAPH_MS } from '../../../src/protocol/limits.ts'
import type { CloseReason, ReceiverState, View } from '../../../src/protocol/view.ts'

/**
 * The rules of PROTOCOL.md about sessions, written a second time and as plainly as possible: one mutable object a session,
 * nothing shared with `src/relay`. `model.ts` has what a session is for.
 */
export interface ModelReceiver {
  readonly code: string
  readonly key: string
  readonly name: string | undefined
  readonly token: string
  readonly source: string
  readonly channel: number
  /** Set when the sender's second frame was stored. */
  answered: boolean
  /** When it joined, or its socket went. */
  awaySince: number
  state: ReceiverState
  reason?: DenialReason
  /** Its socket, whatever its state. */
  attached: boolean
  /** The purpose of its windows, if it has any, and since when one of its ends is away. */
  windows: 'handshake' | 'transfer' | undefined
  readonly apartSince: (number | undefined)[]
  /** Set while the relay has mailboxes for it. */
  opened: boolean
}

export interface ModelSession {
  readonly id: string
  readonly token: string
  readonly code: string
  readonly client: string
  readonly maxReceivers: number
  readonly endsAt: number
  forgetAt: number
  ended: CloseReason | undefined
  retired: boolean
  attached: boolean
  joins: number
  readonly ofSource: Map<string, number>
  readonly receivers: ModelReceiver[]
}

export interface ModelLimits {
  readonly sessions: number
  readonly sessionsPerClient: number
  readonly pendingWindow: number
  readonly approvedWindow: number
}

/** The answer to a command: nothing, or the code it is refused with. */
type Answer = ErrorCode | undefined

export class Model {
  now = 0
  sessions: ModelSession[] = []
  readonly #limits: ModelLimits

  constructor(limits: ModelLimits) {
    this.#limits = limits
  }

  mayCreate(code: string, client: string): Answer {
    if (this.sessions.some((session) => session.code === code)) return 'code_in_use'
    const ofClient = this.sessions.filter((session) => session.client === client && !session.ended)
    if (ofClient.length >= this.#limits.sessionsPerClient) return 'too_many_sessions'
    if (this.sessions.length >= this.#limits.sessions) return 'at_capacity'
    return undefined
  }

  create(input: Pick<ModelSession, 'id' | 'token' | 'code' | 'client' | 'maxReceivers'>, ttlSeconds: number): void {
    const endsAt = this.now + ttlSeconds * 1000
    this.sessions.push({
      ...input,
      endsAt,
      forgetAt: endsAt + EPITAPH_MS,
      ended: undefined,
      retired: false,
      attached: false,
      joins: 0,
      ofSource: new Map(),
      receivers: [],
    })
  }

  mayJoin(senderCode: string, receiverCode: string, source: string): Answer {
    const session = this.sessions.find((each) => each.code === senderCode)
    if (!session || !this.joinable(session) || isShutOut(session, source)) return 'session_not_found'
    if (session.receivers.some((each) => each.code === receiverCode)) return 'receiver_code_in_use'
    if (count(session, 'pending') === 8 && !this.#makesWay(session, source)) return 'session_full'
    return undefined
  }

  join(senderCode: string, input: Pick<ModelReceiver, 'code' | 'key' | 'name' | 'token' | 'source'>): void {
    const session = this.sessions.find((each) => each.code === senderCode)
    if (!session) return
    if (count(session, 'pending') === 8) leave(this.#makesWay(session, input.source))
    session.receivers.push({
      ...input,
      channel: ++session.joins,
      state: 'pending',
      attached: false,
      answered: false,
      awaySince: this.now,
      windows: 'handshake',
      apartSince: [],
      opened: true,
    })
    session.ofSource.set(input.source, joinsOf(session, input.source) + 1)
    const gone = session.receivers.length > 32 ? session.receivers.findIndex((each) => !holdsPlace(each)) : -1
    if (gone >= 0) session.receivers.splice(gone, 1)
  }

  /** The receiver that ends so that one of a source may come, where as many wait as may. */
  #makesWay(session: ModelSession, source: string): ModelReceiver | undefined {
    const pending = session.receivers.filter(({ state, answered }) => state === 'pending' && !answered)
    const absent = pending.find(({ attached }) => !attached)
    if (absent) return absent
    const most = Math.max(...pending.map((each) => joinsOf(session, each.source)))
    if (pending.length === 0 || most < joinsOf(session, source)) return undefined
    return pending.find((each) => joinsOf(session, each.source) === most)
  }

  decide(session: ModelSession, receiver: ModelReceiver | undefined, decision: 'approved' | DenialReason): Answer {
    if (session.ended) return 'session_gone'
    if (!receiver) return 'receiver_not_found'
    if (receiver.state === 'left') return 'receiver_gone'
    const decided = receiver.state === 'denied' ? receiver.reason : 'approved'
    if (receiver.state !== 'pending') return decided === decision ? undefined : 'decision_made'
    if (decision !== 'approved') {
      receiver.state = 'denied'
      receiver.reason = decision
      return undefined
    }
    const approvals = count(session, 'approved') + count(session, 'done')
    if (approvals === session.maxReceivers) return 'session_full'
    receiver.state = 'approved'
    if (approvals + 1 === session.maxReceivers) session.retired = true
    return undefined
  }

  leave(session: ModelSession, receiver: ModelReceiver): Answer {
    if (session.ended) return 'session_gone'
    if (receiver.state === 'pending') receiver.state = 'left'
    if (receiver.state === 'approved') receiver.state = 'done'
    return undefined
  }

  revoke(session: ModelSession, receiver: ModelReceiver | undefined): Answer {
    if (session.ended) return 'session_gone'
    if (!receiver) return 'receiver_not_found'
    if (receiver.state === 'pending') return 'not_approved'
    if (receiver.state === 'approved') receiver.state = 'revoked'
    return undefined
  }

  retire(session: ModelSession): Answer {
    if (session.ended) return 'session_gone'
    session.retired = true
    return undefined
  }

  close(session: ModelSession): Answer {
    if (session.ended) return undefined
    const unfinished = count(session, 'approved') + count(session, 'revoked')
    this.#end(session, count(session, 'done') > 0 && unfinished === 0 ? 'completed' : 'closed_by_sender', this.now)
    return undefined
  }

  /** Time passes, and is noticed. */
  pass(milliseconds: number): void {
    this.now += milliseconds
    for (const session of this.sessions) {
      if (!session.ended && this.now >= session.endsAt) this.#end(session, 'expired', session.endsAt)
      if (session.ended) continue
      for (const each of session.receivers) {
        if (each.state === 'pending' && !each.answered && !each.attached && this.now >= each.awaySince + 20_000)
          leave(each)
      }
    }
    this.sessions = this.sessions.filter((session) => !session.ended || this.now < session.forgetAt)
  }

  #end(session: ModelSession, reason: CloseReason, at: number): void {
    session.ended = reason
    session.forgetAt = at + EPITAPH_MS
    session.attached = false
    for (const receiver of session.receivers) receiver.attached = false
  }

  joinable(session: ModelSession): boolean {
    return !session.ended && !session.retired && session.receivers.filter(holdsPlace).length < 32
  }

  /**
   * The needs of every channel of a session now. Nobody ever waits here: there is memory enough. The roles that come back have
   * sockets that end, because what was held for one of their channels is forgotten.
   */
  settle(session: ModelSession): (ModelSession | ModelReceiver)[] {
    const resuming = new Set<ModelSession | ModelReceiver>()
    if (session.ended) return []
    for (const receiver of session.receivers.filter(isLive)) {
      const there = [session, receiver].filter(({ attached }) => attached)
      const since = receiver.apartSince
      for (const [i, { attached }] of [session, receiver].entries())
        since[i] = attached ? undefined : (since[i] ?? this.now)
      const isLongApart = since.some((each) => each !== undefined && this.now >= each + 60_000)
      if (isLongApart && (there.length === 0 || receiver.windows === 'transfer')) {
        receiver.windows = undefined
        receiver.opened = false
        for (const role of there) resuming.add(role)
      }
      if (receiver.state === 'approved' && there.length === 2) receiver.windows = 'transfer'
      else if (isLongApart && there.length === 0) continue
      else if (there.length > 0 || receiver.state === 'pending') receiver.windows ??= 'handshake'
    }
    return [...resuming]
  }

  /** Receivers whose channel carries frames. */
  live(): ModelReceiver[] {
    return this.sessions.flatMap((session) => (session.ended ? [] : session.receivers.filter(isLive)))
  }

  /** The size that a channel's window begins with now. */
  windowOf(receiver: ModelReceiver): number {
    if (receiver.windows === undefined) return 0
    return receiver.windows === 'transfer' ? this.#limits.approvedWindow : this.#limits.pendingWindow
  }

  /** The view of the sender, or of one receiver, without its version: that is opaque. */
  view(session: ModelSession, me?: ModelReceiver): Omit<View, 'version'> {
    const open = !session.ended
    const seen = session.receivers.filter((each) => me === undefined || each === me)
    return {
      type: 'session',
      role: me ? 'receiver' : 'sender',
      state: open ? 'open' : 'closed',
      ...(session.ended ? { reason: session.ended } : {}),
      expiresInMs: open ? session.endsAt - this.now : 0,
      joinable: this.joinable(session),
      ...(me ? { senderPresent: session.attached } : {}),
      receivers: seen.map((each) => ({
        receiverCode: each.code,
        channel: each.channel,
        state: each.state,
        ...(each.reason ? { reason: each.reason } : {}),
        ...(open && isLive(each)
          ? { publicKey: each.key, profile: 'AQ', ...(each.name ? { name: each.name } : {}), present: each.attached }
          : {}),
      })),
      channels: open
        ? seen.filter(isLive).map((each) => ({
            channel: each.channel,
            received: 0,
            acked: 0,
            window: this.windowOf(each),
          }))
        : [],
    }
  }
}

function isLive({ state }: ModelReceiver): boolean {
  return state === 'pending' || state === 'approved'
}

function leave(receiver: ModelReceiver | undefined): void {
  if (!receiver) return
  receiver.state = 'left'
}

function holdsPlace({ state, reason }: ModelReceiver): boolean {
  return state !== 'left' && (state !== 'denied' || reason === 'rejected' || reason === 'handshake_failed')
}

function joinsOf(session: ModelSession, source: string): number {
  return session.ofSource.get(source) ?? 0
}

function isShutOut(session: ModelSession, source: string): boolean {
  const own = session.receivers.filter((each) => each.source === source)
  const failed = own.filter(({ reason }) => reason === 'handshake_failed').length
  const waiting = own.filter(({ state, answered }) => state === 'pending' && !answered)
  return failed >= 5 || waiting.length >= 2 || joinsOf(session, source) >= 8
}

function count(session: ModelSession, state: ReceiverState): number {
  return session.receivers.filter((each) => each.state === state).length
}
