import fc from 'fast-check'
import { describe, expect } from 'vitest'
import type { DenialReason } from '../../../src/protocol/fields.ts'
import { HANDSHAKE_WINDOW_BYTES } from '../../../src/protocol/limits.ts'
import type { View } from '../../../src/protocol/view.ts'
import type { FakeSocket } from '../../support/fake-socket.ts'
import { holds, often } from '../../support/property.ts'
import { refusalOf } from '../../support/refusal.ts'
import { publicKey, settled, TestRelay } from '../../support/relay.ts'
import { Model, type ModelReceiver, type ModelSession } from './model.ts'

const LIMITS = { sessions: 5, sessionsPerClient: 3, pendingWindow: 4096, approvedWindow: 10_000 }
/** Enough for everybody. What happens where it is not is in windows.test.ts. */
const BUDGET = 64 * 1024 * 1024

type Decision = 'approved' | DenialReason

/** Mostly one of them, so that much happens to it. */
const at = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 5 }) })
const receiver = fc.nat({ max: 31 })
const decision = fc.constantFrom<Decision>(
  'approved',
  'approved',
  'rejected',
  'handshake_failed',
  'handshake_timeout',
  'handshake_invalid',
)
const source = fc.oneof(
  { weight: 1, arbitrary: fc.constant('a source') },
  { weight: 3, arbitrary: fc.nat({ max: 20 }).map((number) => `source ${number}`) },
)
/** Numbers choose among what there is, so that most commands meet something. */
const command = fc.oneof(
  often(4, ['create'], {
    code: at,
    client: fc.nat({ max: 2 }),
    ttl: fc.constantFrom(30, 900, 3600),
    max: fc.integer({ min: 1, max: 8 }),
  }),
  // A join that fails has a handshake that comes to nothing at once.
  often(20, ['join'], { at, receiver, named: fc.boolean(), source, fails: fc.boolean() }),
  often(10, ['decide'], { at, receiver, decision }),
  often(6, ['revoke', 'leave'], { at, receiver }),
  often(1, ['retire', 'close'], { at }),
  often(3, ['attach sender', 'attach sender', 'detach sender'], { at }),
  often(8, ['attach receiver', 'attach receiver', 'detach receiver'], { at, receiver }),
  often(3, ['pass'], { milliseconds: fc.constantFrom<number>(1, 999, 5_000, 25_000, 60_000, 300_000) }),
)
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never

/** The relay and the model side by side. */
class Run {
  readonly node = new TestRelay({
    settings: {
      maxSessions: LIMITS.sessions,
      maxSessionsPerClient: LIMITS.sessionsPerClient,
      memoryBudgetBytes: BUDGET,
      maxFrameBytes: LIMITS.approvedWindow,
      windowBytes: 4 * LIMITS.approvedWindow,
    },
  })
  readonly model = new Model(LIMITS)
  /** The socket of each token that attached and was not superseded. */
  readonly #sockets = new Map<string, FakeSocket>()
  readonly #lastViews = new Map<string, View>()

  async step(command: Command): Promise<void> {
    const { model, node } = this
    switch (command.do) {
      case 'create': {
        const [senderCode, clientId] = [`code-${command.code}`, `client-${command.client}`]
        const expected = model.mayCreate(senderCode, clientId)
        const request = { senderCode, clientId, ttlSeconds: command.ttl, maxReceivers: command.max }
        const refused = await refusalOf(async () => {
          const { sessionId: id, token } = await node.open(request)
          model.create({ id, token, code: senderCode, client: clientId, maxReceivers: command.max }, command.ttl)
        })
        return void expect(refused).toBe(expected)
      }
      case 'join': {
        const session = this.#at(command.at)
        const senderCode = session?.code ?? 'nobody'
        const code = `receiver-${command.receiver}`
        const [key, name] = [publicKey(command.receiver), command.named ? 'a name' : undefined]
        const expected = model.mayJoin(senderCode, code, command.source)
        const refused = await refusalOf(async () => {
          const joined = await node.join(senderCode, { receiverCode: code, publicKey: key, name }, command.source)
          model.join(senderCode, { code, key, name, token: joined.token, source: command.source })
        })
        expect(refused).toBe(expected)
        if (refused || !session || !command.fails) return this.#settle()
        const receiver = session.receivers.length - 1
        return this.#stepIn(session, { do: 'decide', at: command.at, receiver, decision: 'handshake_failed' })
      }
      case 'pass':
        model.pass(command.milliseconds)
        node.clock.advance(command.milliseconds)
        await node.tick()
        // A session that ended at the first tick may be forgotten at the next one.
        await node.tick()
        return this.#settle()
      default:
        await this.#stepIn(this.#at(command.at), command)
        return this.#settle()
    }
  }

  /** Everybody has the windows that fit, and sockets whose frames were forgotten are gone. */
  async #settle(): Promise<void> {
    await settled()
    const { model } = this
    for (const session of model.sessions) {
      for (let ended = model.settle(session); ended.length > 0; ended = model.settle(session)) {
        for (const role of ended) {
          expect(this.#sockets.get(role.token)?.closedWith).toBe('resume_required')
          await this.#detach(role)
        }
      }
    }
  }

  /** Mostly one of the sessions there are. */
  #at(index: number): ModelSession | undefined {
    const { sessions } = this.model
    return index === 5 ? undefined : sessions[index % Math.max(1, sessions.length)]
  }

  async #stepIn(session: ModelSession | undefined, command: Exclude<Command, { do: 'create' | 'join' | 'pass' }>) {
    if (!session) return
    const { model, node } = this
    const { relay } = node
    const receiver =
      'receiver' in command ? session.receivers[command.receiver % (session.receivers.length + 1)] : undefined
    const code = receiver?.code ?? 'nobody'
    const as = (token: string) => ({ sessionId: session.id, token })
    switch (command.do) {
      case 'decide': {
        const { decision } = command
        const request = decision === 'approved' ? { decision } : { decision: 'denied' as const, reason: decision }
        const refused = await refusalOf(() => relay.decide(session.id, session.token, code, request))
        return expect(refused).toBe(model.decide(session, receiver, decision))
      }
      case 'revoke': {
        const refused = await refusalOf(() => node.end(as(session.token), { receiverCode: code }))
        return expect(refused).toBe(model.revoke(session, receiver))
      }
      case 'leave': {
        if (!receiver) return
        const refused = await refusalOf(() => node.end(as(receiver.token), { receiverCode: code }))
        return expect(refused).toBe(model.leave(session, receiver))
      }
      case 'retire': {
        const refused = await refusalOf(() => relay.retireCode(session.id, session.token))
        return expect(refused).toBe(model.retire(session))
      }
      case 'close': {
        const refused = await refusalOf(() => node.close(as(session.token)))
        return expect(refused).toBe(model.close(session))
      }
      case 'attach sender':
        return this.#attach(session, session)
      case 'attach receiver':
        return receiver && this.#attach(session, receiver)
      case 'detach sender':
        return this.#detach(session)
      case 'detach receiver':
        return receiver && this.#detach(receiver)
      default:
        return command satisfies never
    }
  }

  async #attach(session: ModelSession, role: ModelSession | ModelReceiver): Promise<void> {
    const older = this.#sockets.get(role.token)
    const socket = await this.node.attach({ sessionId: session.id, token: role.token })
    if (session.ended) {
      expect(socket.views).toHaveLength(1)
      expect(socket.closedWith).toBe('session_gone')
      return
    }
    role.attached = true
    for (const receiver of session.receivers) if (role === session || role === receiver) receiver.opened = true
    expect(socket.closedWith).toBeUndefined()
    if (older) expect(older.closedWith).toBe('superseded')
    this.#sockets.set(role.token, socket)
  }

  async #detach(role: ModelSession | ModelReceiver): Promise<void> {
    this.#sockets.get(role.token)?.vanish()
    this.#sockets.delete(role.token)
    if ('awaySince' in role && role.attached) role.awaySince = this.model.now
    role.attached = false
  }

  /** Everything anybody can see is what the model says, and the relay holds what that takes and no more. */
  async compare(): Promise<void> {
    await settled()
    const { model, node } = this
    for (const session of model.sessions) {
      await this.#compareView(session, session.token, model.view(session))
      for (const receiver of session.receivers) {
        await this.#compareView(session, receiver.token, model.view(session, receiver))
      }
    }
    const roles = model.sessions.flatMap((session) => [session, ...session.receivers])
    expect(node.counters()).toMatchObject({
      sessions: model.sessions.length,
      mailboxes: 2 * model.live().filter(({ opened }) => opened).length,
      grants: 2 * model.live().length,
      grantedBytes: model.granted,
      sockets: roles.filter((role) => role.attached).length,
      watchers: 0,
    })
    expect(node.failures).toEqual([])
  }

  async #compareView(session: ModelSession, token: string, expected: Omit<View, 'version'>): Promise<void> {
    const view = await this.node.view({ sessionId: session.id, token })
    const { version, ...rest } = view
    expect(rest).toEqual(expected)
    const last = this.#lastViews.get(token)
    const { expiresInMs: _, ...lasting } = view
    if (last?.version === version) expect(lasting).toEqual({ ...last, expiresInMs: undefined })
    this.#lastViews.set(token, view)
    const socket = this.#sockets.get(token)
    if (!socket) return
    expect(socket.closedWith).toBe(session.ended ? 'session_gone' : undefined)
    const { expiresInMs: __, ...pushed } = socket.view
    expect(pushed).toEqual(lasting)
    expect(socket.violations).toBe(0)
  }
}

describe('sessions', () => {
  expect(LIMITS.pendingWindow).toBe(HANDSHAKE_WINDOW_BYTES)

  holds(
    'behave as the model for any commands in any order',
    100,
    fc.array(command, { minLength: 1, maxLength: 150, size: 'max' }),
    async (commands) => {
      const run = new Run()
      for (const each of commands) {
        await run.step(each)
        await run.compare()
      }
      await run.step({ do: 'pass', milliseconds: 4_000_000 })
      await run.compare()
      expect(run.node.counters()).toEqual({
        sessions: 0,
        storeEntries: 0,
        mailboxes: 0,
        unackedBytes: 0,
        grantedBytes: 0,
        grants: 0,
        sockets: 0,
        watchers: 0,
      })
    },
  )
})
