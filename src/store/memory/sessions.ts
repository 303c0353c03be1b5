import { RelayError } from '../../relay/errors.ts'
import type { Clock, SessionCaps, SessionStore } from '../../relay/ports.ts'
import { countedOf, deadlineOf, type OpenSession, type Session } from '../../relay/session/session.ts'

/**
 * Sessions in one process's memory, with a time-out. Deadlines lie in buckets of one second, so that a sweep looks only
 * at what is due, and a session costs no timer.
 */
export class MemorySessionStore implements SessionStore {
  readonly #clock: Clock
  readonly #byId = new Map<string, Session>()
  readonly #idByCode = new Map<string, string>()
  readonly #openPerClient = new Map<string, number>()
  readonly #openPerAddress = new Map<string, number>()
  readonly #buckets = new Map<number, Set<string>>()
  /** No bucket before this one exists. */
  #firstBucket: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#firstBucket = bucketOf(clock.now())
  }

  /** Sessions held, epitaphs included. */
  get size(): number {
    return this.#byId.size
  }

  /** Every index this store keeps, for the test that all of them are empty in the end. */
  get entries(): number {
    return (
      this.#byId.size + this.#idByCode.size + this.#openPerClient.size + this.#openPerAddress.size + this.#buckets.size
    )
  }

  async create(session: OpenSession, caps: SessionCaps): Promise<void> {
    const ofClient = this.#openPerClient.get(session.clientId) ?? 0
    if (this.#idByCode.has(session.senderCode)) throw new RelayError('code_in_use')
    const isFull = ([digest, factor]: readonly [string, number]) =>
      (this.#openPerAddress.get(digest) ?? 0) >= caps.sessionsPerAddress * factor
    const counted = countedOf(session.addressDigest)
    if (ofClient >= caps.sessionsPerClient || counted.some(isFull)) throw new RelayError('too_many_sessions')
    if (this.#byId.size >= caps.sessions) throw new RelayError('at_capacity')
    this.#byId.set(session.id, session)
    this.#idByCode.set(session.senderCode, session.id)
    this.#openPerClient.set(session.clientId, ofClient + 1)
    for (const [digest] of counted) this.#openPerAddress.set(digest, (this.#openPerAddress.get(digest) ?? 0) + 1)
    this.#schedule(session)
  }

  async findByCode(senderCode: string): Promise<Session | undefined> {
    const id = this.#idByCode.get(senderCode)
    return id === undefined ? undefined : this.#byId.get(id)
  }

  async get(sessionId: string): Promise<Session | undefined> {
    return this.#byId.get(sessionId)
  }

  async update(sessionId: string, change: (session: Session, now: number) => Session): Promise<Session> {
    const session = this.#byId.get(sessionId)
    if (!session) throw new RelayError('session_not_found')
    const next = change(session, this.#clock.now())
    if (next === session) return session
    this.#byId.set(sessionId, next)
    if (session.state === 'open' && next.state === 'closed') this.#countDown(session)
    if (deadlineOf(next) !== deadlineOf(session)) {
      this.#unschedule(session)
      this.#schedule(next)
    }
    return next
  }

  async delete(sessionId: string): Promise<void> {
    const session = this.#byId.get(sessionId)
    if (!session) return
    this.#byId.delete(sessionId)
    this.#idByCode.delete(session.senderCode)
    if (session.state === 'open') this.#countDown(session)
    this.#unschedule(session)
  }

  async due(): Promise<readonly string[]> {
    const now = this.#clock.now()
    const last = bucketOf(now)
    while (this.#firstBucket < last && !this.#buckets.has(this.#firstBucket)) this.#firstBucket++
    const due: string[] = []
    for (let bucket = this.#firstBucket; bucket <= last; bucket++) {
      for (const id of this.#buckets.get(bucket) ?? []) {
        const session = this.#byId.get(id)
        if (session && deadlineOf(session) <= now) due.push(id)
      }
    }
    return due
  }

  #schedule(session: Session): void {
    const bucket = bucketOf(deadlineOf(session))
    const ids = this.#buckets.get(bucket)
    if (ids) ids.add(session.id)
    else this.#buckets.set(bucket, new Set([session.id]))
    this.#firstBucket = Math.min(this.#firstBucket, bucket)
  }

  #unschedule(session: Session): void {
    const bucket = bucketOf(deadlineOf(session))
    const ids = this.#buckets.get(bucket)
    if (!ids) return
    ids.delete(session.id)
    if (ids.size === 0) this.#buckets.delete(bucket)
  }

  #countDown({ clientId, addressDigest }: Session): void {
    countDown(this.#openPerClient, clientId)
    for (const [digest] of countedOf(addressDigest)) countDown(this.#openPerAddress, digest)
  }
}

function countDown(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1
  if (left === 0) counts.delete(key)
  else counts.set(key, left)
}

function bucketOf(milliseconds: number): number {
  return Math.floor(milliseconds / 1000)
}
