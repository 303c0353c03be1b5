import { expect } from 'vitest'
import type { ErrorCode } from '../../../src/protocol/errors.ts'
import { encodeAck, encodeData } from '../../../src/protocol/frame.ts'
import { HANDSHAKE_WINDOW_BYTES } from '../../../src/protocol/limits.ts'
import type { View } from '../../../src/protocol/view.ts'
import type { RelaySettings } from '../../../src/relay/relay.ts'
import { NOTHING_LEFT, publicKey } from '../../support/relay.ts'
import { type AbuseLimits, AbuseModel, type ModelSocket, type Role } from './model.ts'
import type { As, Command } from './programs.ts'
import type { ModelSession } from './sessions.ts'
import type { Member, Outcome, Target, TargetSocket } from './targets.ts'

/** Bounds that programs of a hundred commands reach. */
const LIMITS: AbuseLimits = {
  sessions: 5,
  sessionsPerClient: 3,
  pendingWindow: HANDSHAKE_WINDOW_BYTES,
  approvedWindow: 10_000,
  maxWindow: 40_000,
}

export const SETTINGS: Partial<RelaySettings> = {
  maxSessions: LIMITS.sessions,
  maxSessionsPerClient: LIMITS.sessionsPerClient,
  // Enough for everybody: who waits for room is in test/relay/channel/windows.test.ts.
  memoryBudgetBytes: 64 * 1024 * 1024,
  limitAddresses: true,
  maxFrameBytes: LIMITS.approvedWindow,
  windowBytes: LIMITS.maxWindow,
}

const STRANGER = Buffer.alloc(32, 'a stranger').toString('base64url')

/** A relay and the model side by side. */
export class Run {
  readonly #target: Target
  readonly #model = new AbuseModel(LIMITS)
  readonly #sockets = new Map<ModelSocket, TargetSocket>()
  readonly #lastViews = new Map<Role, View>()

  constructor(target: Target) {
    this.#target = target
  }

  /** The whole program, a comparison after each command, and then nothing must be left. */
  async play(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      await this.#step(command)
      this.#model.settleAll()
      await this.#compare()
    }
    // The first jump ends what is open, the second what then has its epitaph.
    for (let round = 0; round < 2; round++) await this.#step({ do: 'pass', milliseconds: 4_000_000 })
    await this.#compare()
    expect(this.#target.counters()).toMatchObject(NOTHING_LEFT)
  }

  async #step(command: Command): Promise<void> {
    const model = this.#model
    switch (command.do) {
      case 'create':
        return this.#create(command)
      case 'join':
        return this.#join(command)
      case 'pass':
        model.pass(command.milliseconds)
        return this.#target.pass(command.milliseconds)
      case 'detach':
      case 'data':
      case 'ack':
      case 'nonsense': {
        const open = [...model.sockets.values()]
        const socket = open[command.socket % Math.max(1, open.length)]
        const real = socket && this.#sockets.get(socket)
        return socket && real && this.#say(command, socket, real)
      }
      default: {
        const session = model.sessions[command.at % Math.max(1, model.sessions.length)]
        if (session) return this.#command(command, session)
      }
    }
  }

  async #create(command: Extract<Command, { do: 'create' }>): Promise<void> {
    const [senderCode, clientId] = [`code-${command.code}`, `client-${command.client}`]
    const { ttl: ttlSeconds, max: maxReceivers } = command
    const expected = this.#model.mayCreate(senderCode, clientId)
    const answer = await this.#target.create({ senderCode, clientId, ttlSeconds, maxReceivers })
    const made = expectAnswer(answer, expected)
    if (!made) return
    const session = { id: made.sessionId, token: made.token, code: senderCode, client: clientId, maxReceivers }
    this.#model.create(session, ttlSeconds)
  }

  async #join(command: Extract<Command, { do: 'join' }>): Promise<void> {
    const { sessions } = this.#model
    const session = command.wrongCode ? undefined : sessions[command.at % Math.max(1, sessions.length)]
    const senderCode = session?.code ?? 'nobody-waits-here'
    const [code, key] = [`receiver-${command.receiver}`, publicKey(command.receiver)]
    const { source } = command
    const name = command.named ? 'a name' : undefined
    const expected = this.#model.mayJoin(senderCode, code, source)
    const request = { senderCode, receiverCode: code, publicKey: key, ...(name ? { name } : {}) }
    const made = expectAnswer(await this.#target.join(request, source), expected)
    if (!made || !session) return
    this.#model.join(senderCode, { code, key, name, token: made.token, source })
    const receiver = session.receivers.length - 1
    const denial = { do: 'decide', at: 0, receiver, as: 'right', decision: 'handshake_failed' } as const
    if (command.fails) await this.#command(denial, session)
  }

  async #command(command: Extract<Command, { readonly as: As }>, session: ModelSession): Promise<void> {
    const [model, target] = [this.#model, this.#target]
    const receiver = session.receivers[command.receiver % (session.receivers.length + 1)]
    const code = receiver?.code ?? 'no-such-receiver'
    const byReceiver = command.do === 'leave' || (command.do === 'attach' && !command.sender)
    if (byReceiver && !receiver) return
    const token = this.#tokenOf(command.as, session, byReceiver && receiver ? receiver : session)
    const member: Member = { sessionId: session.id, token }
    switch (command.do) {
      case 'decide': {
        const { decision } = command
        const expected = model.authorize(session, token, 'sender') ?? model.decide(session, receiver, decision)
        const request = decision === 'approved' ? { decision } : { decision: 'denied' as const, reason: decision }
        return void expectAnswer(await target.decide(member, code, request), expected)
      }
      case 'leave':
      case 'revoke': {
        const own = session.receivers.find((each) => each.token === token)
        const allowed = model.authorize(session, token) ?? (own && own !== receiver ? 'forbidden' : undefined)
        const expected = allowed ?? (own ? model.leave(session, own) : model.revoke(session, receiver))
        return void expectAnswer(await target.end(member, code), expected)
      }
      case 'retire': {
        const expected = model.authorize(session, token, 'sender') ?? model.retire(session)
        return void expectAnswer(await target.retire(member), expected)
      }
      case 'close': {
        const expected = model.authorize(session, token, 'sender') ?? model.close(session)
        model.endSockets()
        return void expectAnswer(await target.close(member), expected)
      }
      case 'view':
        if (command.as === 'nobody') {
          const nowhere = { sessionId: STRANGER.slice(0, 21).concat('A'), token: session.token }
          return void expectAnswer(await target.view(nowhere), 'session_not_found')
        }
        return void expectAnswer(await target.view(member), model.authorize(session, token))
      case 'attach': {
        const role = [session, ...session.receivers].find((each) => each.token === token) ?? session
        const claims = model.claims(session, role, command.behind)
        const socket = model.attach(session, token, claims)
        this.#sockets.set(socket, await target.attach(member, claims))
        return
      }
      default:
        return command satisfies never
    }
  }

  #tokenOf(as: As, session: ModelSession, right: Role): string {
    switch (as) {
      case 'right':
        return right.token
      case 'sender':
        return session.token
      case 'receiver':
        return session.receivers[0]?.token ?? STRANGER
      case 'other session':
        return this.#model.sessions.find((each) => each !== session)?.token ?? STRANGER
      case 'nobody':
        return STRANGER
      default:
        return as satisfies never
    }
  }

  async #say(
    command: Extract<Command, { readonly socket: number }>,
    socket: ModelSocket,
    real: TargetSocket,
  ): Promise<void> {
    const model = this.#model
    switch (command.do) {
      case 'detach':
        model.detach(socket)
        this.#sockets.delete(socket)
        return real.cut()
      case 'nonsense':
        model.nonsense(socket)
        return real.say(command.message)
      case 'ack': {
        const channel = this.#channelOf(socket, command.channel)
        const seq = Math.max(0, model.next(socket, channel).ack + command.off)
        model.ack(socket, channel, seq)
        return real.say(encodeAck(channel, seq))
      }
      case 'data': {
        const channel = this.#channelOf(socket, command.channel)
        for (let times = 0; times < command.times && !socket.closed; times++) {
          const seq = Math.max(1, model.next(socket, channel).data + command.off)
          const text = `${seq}`.padEnd(command.size, 'x').slice(0, command.size)
          model.data(socket, channel, seq, text)
          real.say(encodeData(channel, seq, Buffer.from(text)))
        }
        return
      }
      default:
        return command satisfies never
    }
  }

  /** Mostly a channel of this socket; sometimes one that is not its own, or that nobody has. */
  #channelOf({ session, role }: ModelSocket, choice: number): number {
    if (role === session) return 1 + (choice % (session.receivers.length + (choice === 5 ? 1 : 0) || 1))
    return choice === 5 ? 2 : (session.receivers.find(({ token }) => token === role.token)?.channel ?? 1)
  }

  /** Everything anybody can see is what the model says, and the relay holds what that takes and no more. */
  async #compare(): Promise<void> {
    const [model, target] = [this.#model, this.#target]
    await target.settle(model.sockets.size)
    for (const session of model.sessions) {
      await this.#compareView(session, session, model.view(session))
      for (const each of session.receivers) await this.#compareView(session, each, model.view(session, each))
    }
    for (const [socket, real] of this.#sockets) {
      if (socket.closed) await real.settle()
      expect(real.closed()).toBe(socket.closed)
      expect(byChannel(real.data())).toEqual(byChannel(socket.data))
      expect(real.acks()).toEqual(socket.acks)
      if (socket.closed) this.#sockets.delete(socket)
    }
    expect(target.counters()).toMatchObject({
      sessions: model.sessions.length,
      mailboxes: 2 * model.live().filter(({ opened }) => opened).length,
      grants: 2 * model.live().length,
      grantedBytes: model.granted,
      unackedBytes: model.unacked,
      sockets: model.sockets.size,
      watchers: 0,
    })
    expect(target.failures).toEqual([])
  }

  async #compareView(session: ModelSession, role: Role, expected: Omit<View, 'version'>): Promise<void> {
    const answer = await this.#target.view({ sessionId: session.id, token: role.token })
    const seen = expectAnswer(answer, undefined) as View
    const { version, ...view } = seen
    expect(view).toEqual(expected)
    const last = this.#lastViews.get(role)
    // A window that grows with its use is no change.
    const most = LIMITS.approvedWindow
    if (last?.version === version) expect(lastingOf(seen, most)).toEqual(lastingOf(last, most))
    this.#lastViews.set(role, seen)
    const socket = this.#model.sockets.get(role)
    const pushed = socket && this.#sockets.get(socket)?.view()
    if (!pushed) return
    expect(lastingOf(pushed)).toEqual(lastingOf(seen))
    expect(pushed.expiresInMs).toBeGreaterThanOrEqual(view.expiresInMs)
  }
}

/** Returns what a version stands for: neither the time that is left nor positions, which are as of a view's sending. */
function lastingOf({ expiresInMs: _, channels, ...view }: View, mostWindow = Number.POSITIVE_INFINITY) {
  return {
    ...view,
    channels: channels.map(({ channel, window }) => ({ channel, window: Math.min(window, mostWindow) })),
  }
}

function expectAnswer<T>(answer: Outcome<T>, refused: ErrorCode | undefined): T | undefined {
  expect('refused' in answer ? answer.refused : undefined).toBe(refused)
  return 'refused' in answer ? undefined : answer.value
}

/** Within a channel frames have an order; between channels nothing is said of it. */
function byChannel<T extends { readonly channel: number }>(frames: readonly T[]): readonly T[] {
  return frames.toSorted((a, b) => a.channel - b.channel)
}
