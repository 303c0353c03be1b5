import { EPITAPH_MS } from '../../protocol/limits.ts'
import { RelayError } from '../../relay/errors.ts'
import type { Clock, SessionCaps, SessionStore } from '../../relay/ports.ts'
import { countedOf, deadlineOf, type OpenSession, type Session } from '../../relay/session/session.ts'
import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'

/** How often a change is tried again that another node's came before. */
const ATTEMPTS = 16
/** Before the next try, a random part of this, in milliseconds. */
const BACKOFF_MS = 10
/** Sessions looked at in one sweep of one node. */
const SWEEP_MAX = 500

/** How often full sets are looked at for sessions that are not there, and how many of them at once. */
const LOOKS_PER_SECOND = 10
const DEAD_AT_ONCE = 100
/** How much longer a key is kept than its session: the server's clock may be set forward by that, and end nothing. */
export const SLACK_MS = 3_600_000

/**
 * Sessions that several nodes share: each one document, changed by compare-and-set over the transitions. Every key goes by
 * itself some time after its session's epitaph; the sweep only tidies earlier, and ends what is due.
 */
export class RedisSessionStore implements SessionStore {
  readonly #redis: RedisConnection
  readonly #clock: Clock
  /** When full sets were looked at for the dead within the last second. */
  #looks: number[] = []

  constructor(redis: RedisConnection, clock: Clock) {
    this.#redis = redis
    this.#clock = clock
  }

  async create(session: OpenSession, caps: SessionCaps): Promise<void> {
    const keepMs = this.#keepMs(session)
    const code = KEYS.code(session.senderCode)
    if ((await this.#redis.command('SET', code, session.id, 'NX', 'PX', keepMs)) === null)
      throw new RelayError('code_in_use')
    try {
      // First, so that what is counted is there.
      await this.#redis.command('SET', KEYS.session(session.id), JSON.stringify(session), 'PX', keepMs)
      const now = this.#clock.now()
      if (!(await this.#admit(session, KEYS.client(session.clientId), caps.sessionsPerClient, now)))
        throw new RelayError('too_many_sessions')
      for (const [digest, factor] of Number.isFinite(caps.sessionsPerAddress) ? countedOf(session.addressDigest) : [])
        if (!(await this.#admit(session, KEYS.address(digest), caps.sessionsPerAddress * factor, now)))
          throw new RelayError('too_many_sessions')
      if (!(await this.#admit(session, KEYS.deadlines, caps.sessions, ''))) throw new RelayError('at_capacity')
    } catch (error) {
      // Keys that cannot be deleted now go by their time-outs.
      await this.#forget(session).catch(() => {})
      throw error
    }
  }

  /** Adds a session to a set that has room for it; `over` is until when sessions in it are over. */
  async #admit(session: OpenSession, set: string, cap: number, over: number | ''): Promise<boolean> {
    const admit = () =>
      this.#redis.script('admit', [set], [session.expiresAt, session.id, cap, this.#keepMs(session), over])
    return (await admit()) === 1 || ((await this.#dropDead(set)) && (await admit()) === 1)
  }

  /** Takes sessions out of a full set that are not there: a server that evicts does not say so. Looks at a few. */
  async #dropDead(set: string): Promise<boolean> {
    const now = this.#clock.now()
    this.#looks = this.#looks.filter((at) => at > now - 1_000)
    if (this.#looks.length >= LOOKS_PER_SECOND) return false
    this.#looks.push(now)
    const ids = (await this.#redis.command('ZRANDMEMBER', set, DEAD_AT_ONCE)) as string[]
    const there = await Promise.all(ids.map((id) => this.#redis.command('EXISTS', KEYS.session(id))))
    const dead = ids.filter((_, i) => there[i] === 0)
    if (dead.length > 0) await this.#redis.command('ZREM', set, ...dead)
    return dead.length > 0
  }

  async findByCode(senderCode: string): Promise<Session | undefined> {
    const id = await this.#redis.command('GET', KEYS.code(senderCode))
    return this.#read(typeof id === 'string' ? KEYS.session(id) : KEYS.nowhere)
  }

  get(sessionId: string): Promise<Session | undefined> {
    return this.#read(KEYS.session(sessionId))
  }

  async update(sessionId: string, change: (session: Session, now: number) => Session): Promise<Session> {
    const key = KEYS.session(sessionId)
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const text = await this.#redis.command('GET', key)
      if (typeof text !== 'string') throw new RelayError('session_not_found')
      const session: Session = JSON.parse(text)
      const next = change(session, this.#clock.now())
      if (next === session) return session
      const replaced = await this.#redis.script('replace', [key], [text, JSON.stringify(next), this.#keepMs(next)])
      if (replaced === 1) {
        // A server that is out of memory may refuse; the sweep then tidies when the time is over.
        if (session.state === 'open' && next.state === 'closed') await this.#tidyClosed(next).catch(() => {})
        else if (deadlineOf(next) < deadlineOf(session)) await this.#hasten(next.id, deadlineOf(next)).catch(() => {})
        return next
      }
      await new Promise((resolve) => setTimeout(resolve, BACKOFF_MS * Math.random() * attempt))
    }
    throw new RelayError('unavailable')
  }

  async delete(sessionId: string): Promise<void> {
    const session = await this.get(sessionId)
    if (session) await this.#forget(session)
    else await this.#redis.command('ZREM', KEYS.deadlines, sessionId)
  }

  async due(): Promise<readonly string[]> {
    const now = this.#clock.now()
    const until = ['-inf', now, 'LIMIT', 0, SWEEP_MAX] as const
    const ids = (await this.#redis.command('ZRANGEBYSCORE', KEYS.deadlines, ...until)) as string[]
    const due = await Promise.all(ids.map(async (id) => ((await this.#isPostponed(id, now)) ? [] : [id])))
    return due.flat()
  }

  /**
   * Reports whether a session's deadline is later than the index says, and puts that right. Those who change a session only
   * ever lower the index, because two of them can come here in another order than to the session.
   */
  async #isPostponed(sessionId: string, now: number): Promise<boolean> {
    const deadline = async () => {
      const session = await this.get(sessionId).catch(rethrowRefusal)
      return session ? deadlineOf(session) : 0
    }
    const known = await deadline()
    if (known <= now) return false
    await this.#redis.command('ZADD', KEYS.deadlines, 'XX', 'GT', known, sessionId)
    // Look again: the deadline may have come nearer in between.
    await this.#hasten(sessionId, await deadline())
    return true
  }

  async #read(key: string): Promise<Session | undefined> {
    const text = await this.#redis.command('GET', key)
    return typeof text === 'string' ? JSON.parse(text) : undefined
  }

  /** A session that has ended counts no more against its client, and is due when its epitaph is over. */
  async #tidyClosed(session: Session): Promise<void> {
    await this.#redis.command('PEXPIRE', KEYS.code(session.senderCode), this.#keepMs(session))
    await this.#discount(session)
    await this.#hasten(session.id, deadlineOf(session))
  }

  async #hasten(sessionId: string, deadline: number): Promise<void> {
    await this.#redis.command('ZADD', KEYS.deadlines, 'XX', 'LT', deadline, sessionId)
  }

  async #forget(session: Session): Promise<void> {
    await this.#redis.command('DEL', KEYS.session(session.id))
    await this.#redis.script('deleteIf', [KEYS.code(session.senderCode)], [session.id])
    await this.#discount(session)
    await this.#redis.command('ZREM', KEYS.deadlines, session.id)
  }

  async #discount(session: Session): Promise<void> {
    await this.#redis.command('ZREM', KEYS.client(session.clientId), session.id)
    for (const [digest] of countedOf(session.addressDigest))
      await this.#redis.command('ZREM', KEYS.address(digest), session.id)
  }

  /** Beyond the end of the epitaph, in milliseconds. */
  #keepMs(session: Session): number {
    const until = session.state === 'open' ? session.expiresAt + EPITAPH_MS : session.forgetAt
    return Math.max(1, until - this.#clock.now()) + SLACK_MS
  }
}

/** Treats a document that cannot be read as due: the sweep then reports why. */
function rethrowRefusal(error: unknown): undefined {
  if (error instanceof RelayError) throw error
}
