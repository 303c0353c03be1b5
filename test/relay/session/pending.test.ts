import { describe, expect, test } from 'vitest'
import {
  ADDRESS_JOINS_MAX,
  ADDRESS_PENDING_MAX,
  JOINS_EVER_MAX,
  JOINS_MAX,
  PENDING_ABSENT_MS,
  PENDING_MAX,
  POLL_LEASE_MS,
  RECEIVER_ROWS_MAX,
} from '../../../src/protocol/limits.ts'
import { join } from '../../../src/relay/session/joining.ts'
import { answer, attach, detach, stayAttached, sweep } from '../../../src/relay/session/presence.ts'
import {
  type Arrival,
  deadlineOf,
  isJoinable,
  type OpenSession,
  type Party,
  WIDER_FACTOR,
} from '../../../src/relay/session/session.ts'
import { decide, leave } from '../../../src/relay/session/transitions.ts'
import { refusalNow } from '../../support/refusal.ts'
import { newReceiver, newSession } from '../../support/session-values.ts'

/** Section 3.3: strangers who know a locator alone do not use a code up. */

const NOW = 1_000
const TTL_SECONDS = 3_600

const socketAt = (node: string): Arrival => ({ via: 'socket', node })

/** A session that is joined by short names. */
class Scene {
  session = newSession({ ttlSeconds: TTL_SECONDS }, NOW)
  now = NOW

  join(name: string, source?: string, isAlive?: (node: string) => boolean): number {
    const rules = isAlive && { isAlive, limitAddresses: true }
    this.session = join(this.session, newReceiver(name, source), this.now, rules)
    return this.session.joins
  }

  /** Its refusal, or undefined when it came in. */
  tryToJoin(name: string, source?: string): string | undefined {
    return refusalNow(() => this.join(name, source))
  }

  attach(channel: number, at: Arrival = socketAt('here')): void {
    this.session = attach(this.session, party(channel), at, this.now)
  }

  answer(channel: number): void {
    this.session = answer(this.session, channel) as OpenSession
  }

  deny(name: string, reason: Parameters<typeof decide>[2] = 'rejected'): void {
    this.session = decide(this.session, name, reason, this.now)
  }

  leave(channel: number): void {
    this.session = leave(this.session, channel, this.now)
  }

  sweep(isAlive?: (node: string) => boolean): void {
    this.session = sweep(this.session, this.now, isAlive) as OpenSession
  }

  /** Every row, as `name state`. */
  get rows(): string[] {
    return this.session.receivers.map(({ receiverCode, state }) => `${receiverCode} ${state}`)
  }

  get pending(): string[] {
    return this.session.receivers.filter(({ state }) => state === 'pending').map(({ receiverCode }) => receiverCode)
  }
}

const party = (channel: number): Party => ({ role: 'receiver', channel })

describe('a pending receiver that stays away', () => {
  test('ends as left after 20 s, and not before', () => {
    const scene = new Scene()
    scene.join('attacker')
    expect(deadlineOf(scene.session)).toBe(NOW + PENDING_ABSENT_MS)
    scene.now += PENDING_ABSENT_MS - 1
    scene.sweep()
    expect(scene.rows).toEqual(['attacker pending'])
    scene.now += 1
    scene.sweep()
    expect(scene.rows).toEqual(['attacker left'])
    expect(deadlineOf(scene.session)).toBe(NOW + TTL_SECONDS * 1_000)
  })

  test('has 20 s again each time that it was there', () => {
    const scene = new Scene()
    const channel = scene.join('phone')
    scene.now += PENDING_ABSENT_MS - 1
    scene.attach(channel)
    scene.now += 50
    scene.session = detach(scene.session, party(channel), 1, scene.now) as OpenSession
    scene.now += PENDING_ABSENT_MS - 1
    scene.sweep()
    expect(scene.rows).toEqual(['phone pending'])
    scene.now += 1
    scene.sweep()
    expect(scene.rows).toEqual(['phone left'])
  })

  test('with a socket may wait for as long as the session lasts', () => {
    const scene = new Scene()
    scene.attach(scene.join('phone'))
    const { version } = scene.session
    for (let i = 0; i < 50; i++) {
      scene.now = deadlineOf(scene.session)
      scene.sweep()
    }
    expect([scene.rows, scene.session.version]).toEqual([['phone pending'], version])
    expect(scene.now).toBe(scene.session.receivers.length * 50 * PENDING_ABSENT_MS + NOW)
  })

  test('over HTTP is there for its lease, and away from then on', () => {
    const scene = new Scene()
    const channel = scene.join('phone')
    scene.attach(channel, { via: 'http', until: NOW + POLL_LEASE_MS })
    expect(deadlineOf(scene.session)).toBe(NOW + POLL_LEASE_MS + PENDING_ABSENT_MS)
    scene.now += POLL_LEASE_MS - 1
    const { version } = scene.session
    scene.session = stayAttached(scene.session, party(channel), scene.now) as OpenSession
    expect(scene.session.version).toBe(version)
    scene.now += POLL_LEASE_MS + PENDING_ABSENT_MS - 1
    scene.sweep()
    expect(scene.rows).toEqual(['phone pending'])
    scene.now += 1
    scene.sweep()
    expect(scene.rows).toEqual(['phone left'])
  })

  test('with its socket on a node that died is away from when that is seen', () => {
    const scene = new Scene()
    scene.attach(scene.join('phone'), socketAt('a node'))
    scene.now += PENDING_ABSENT_MS
    scene.sweep(() => false)
    expect(scene.session.receivers).toMatchObject([{ state: 'pending', presence: undefined }])
    scene.now += PENDING_ABSENT_MS - 1
    scene.sweep(() => false)
    expect(scene.rows).toEqual(['phone pending'])
    scene.now += 1
    scene.sweep(() => false)
    expect(scene.rows).toEqual(['phone left'])
  })

  test('that the sender has answered, or approved, is never ended', () => {
    const scene = new Scene()
    scene.answer(scene.join('answered'))
    scene.join('approved')
    scene.session = decide(scene.session, 'approved', 'approved', scene.now)
    expect(deadlineOf(scene.session)).toBe(NOW + TTL_SECONDS * 1_000)
    scene.now += 1_000_000
    scene.sweep()
    expect(scene.rows).toEqual(['answered pending', 'approved approved'])
  })
})

describe('a join where as many wait as may', () => {
  /** Eight attackers, each from a source of its own and present. */
  const full = () => {
    const scene = new Scene()
    for (let i = 1; i <= PENDING_MAX; i++) scene.attach(scene.join(`attacker ${i}`))
    return scene
  }

  test('takes the place of the oldest that is away', () => {
    const scene = full()
    for (const channel of [3, 6]) {
      const { presence } = scene.session.receivers[channel - 1] as { presence?: { generation: number } }
      scene.session = detach(scene.session, party(channel), presence?.generation ?? 0, scene.now) as OpenSession
    }
    scene.join('honest')
    expect(scene.rows[2]).toBe('attacker 3 left')
    expect(scene.pending).toHaveLength(PENDING_MAX)
    expect(scene.pending).toContain('honest')
  })

  test('counts who is on a node that died as away', () => {
    const scene = full()
    scene.attach(5, socketAt('a node that died'))
    scene.join('honest', 'its source', (node) => node === 'here')
    expect(scene.rows[4]).toBe('attacker 5 left')
  })

  test('takes the place of the one whose source has joined most often, when all are there', () => {
    const scene = new Scene()
    for (const channel of [scene.join('left', 'greedy'), scene.join('left too', 'greedy')]) scene.leave(channel)
    for (let i = 1; i < PENDING_MAX; i++) scene.attach(scene.join(`attacker ${i}`))
    scene.attach(scene.join('greedy', 'greedy'))
    scene.join('honest')
    expect(scene.rows).toContain('greedy left')
    expect(scene.pending).toContain('honest')
  })

  test('takes the place of the oldest where all have joined equally often, or of one of the network that has most', () => {
    const scene = full()
    scene.attach(scene.join('honest'))
    expect(scene.rows[0]).toBe('attacker 1 left')
    for (let i = 1; i < 2 * PENDING_MAX; i++) scene.attach(scene.join(`neighbour ${i}`, `one network|${i}`))
    expect(scene.pending).toContain('honest')
  })

  test.each<[string, (name: string) => string]>([
    ['source', () => 'attacker'],
    ['network', (name) => `attacker|${name}`],
  ])('is session_full to a %s that has joined more often than each of them', (_, source) => {
    const scene = full()
    for (const name of ['first', 'second']) scene.leave(scene.join(name, source(name)))
    for (const channel of [1, 2]) scene.attach(scene.join(`attacker ${PENDING_MAX + channel}`))
    const before = scene.session
    expect(scene.tryToJoin('third', source('third'))).toBe('session_full')
    expect(scene.session).toBe(before)
  })

  test('never takes the place of one that the sender has answered', () => {
    const scene = full()
    for (let channel = 1; channel < PENDING_MAX; channel++) scene.answer(channel)
    scene.attach(scene.join('next'))
    expect(scene.rows[PENDING_MAX - 1]).toBe(`attacker ${PENDING_MAX} left`)
    scene.answer(scene.session.joins)
    expect(scene.tryToJoin('one too many')).toBe('session_full')
  })
})

describe('one source', () => {
  test(`has at most ${ADDRESS_PENDING_MAX} pending, beyond which the code is no code to it`, () => {
    const scene = new Scene()
    for (let i = 1; i <= ADDRESS_PENDING_MAX; i++) scene.join(`attacker ${i}`, 'one source')
    expect(scene.tryToJoin('one too many', 'one source')).toBe('session_not_found')
    expect(scene.tryToJoin('honest')).toBeUndefined()
    scene.deny('attacker 1')
    expect(scene.tryToJoin('again', 'one source')).toBeUndefined()
  })

  test('has room for a further one when those that wait were answered: three devices of one home', () => {
    const scene = new Scene()
    for (let i = 1; i <= ADDRESS_PENDING_MAX; i++) scene.answer(scene.join(`at home ${i}`, 'one home'))
    expect(scene.tryToJoin('a further one', 'one home')).toBeUndefined()
  })

  test.each<[number, string, (i: number) => string]>([
    [ADDRESS_JOINS_MAX, 'address', () => 'one source'],
    [ADDRESS_JOINS_MAX * WIDER_FACTOR, 'network', (i) => `one network|${i}`],
  ])('has at most %d joins of one %s, however they ended and whatever became of their rows', (most, _, source) => {
    const scene = new Scene()
    for (let i = 1; i <= most; i++) scene.leave(scene.join(`attacker ${i}`, source(i)))
    expect(scene.tryToJoin('one too many', source(0))).toBe('session_not_found')
    for (let i = 0; i < 2 * RECEIVER_ROWS_MAX; i++) scene.leave(scene.join(`other ${i}`))
    expect(scene.rows.join()).not.toContain('attacker')
    expect(scene.tryToJoin('one too many', source(0))).toBe('session_not_found')
  })
})

describe('joins that spent nothing', () => {
  test.each(['left', 'handshake_timeout', 'handshake_invalid', 'unsupported'] as const)(
    'do not use the code up: %s',
    (end) => {
      const scene = new Scene()
      for (let i = 1; i <= 3 * JOINS_MAX; i++) {
        const channel = scene.join(`attacker ${i}`)
        if (end === 'left') scene.leave(channel)
        else scene.deny(`attacker ${i}`, end)
        expect(isJoinable(scene.session)).toBe(true)
      }
      expect(scene.join('honest')).toBe(3 * JOINS_MAX + 1)
    },
  )

  test(`lose their rows where a view would have more than ${RECEIVER_ROWS_MAX}, the oldest first; no channel is used again`, () => {
    const scene = new Scene()
    scene.join('kept')
    scene.deny('kept')
    for (let i = 1; i <= RECEIVER_ROWS_MAX; i++) scene.leave(scene.join(`attacker ${i}`))
    expect(scene.session.receivers).toHaveLength(RECEIVER_ROWS_MAX)
    expect(scene.rows.slice(0, 2)).toEqual(['kept denied', 'attacker 2 left'])
    expect(scene.join('attacker 1')).toBe(RECEIVER_ROWS_MAX + 2)
    expect(scene.session.receivers.map(({ channel }) => channel)).toEqual([
      1,
      ...Array.from({ length: RECEIVER_ROWS_MAX - 1 }, (_, i) => i + 4),
    ])
  })

  test(`end with the ${JOINS_EVER_MAX}th join of all, which retires the code`, () => {
    const scene = new Scene()
    for (let i = 1; i <= JOINS_EVER_MAX; i++) {
      expect(isJoinable(scene.session)).toBe(true)
      scene.leave(scene.join(`attacker ${i}`, `source ${i % 200}`))
    }
    expect(isJoinable(scene.session)).toBe(false)
    expect(scene.tryToJoin('one too many')).toBe('session_not_found')
    expect(JSON.stringify(scene.session).length).toBeLessThan(32_768)
  })
})
