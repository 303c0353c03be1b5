import { describe, expect, test } from 'vitest'
import { EPITAPH_MS, PENDING_MAX } from '../../../src/protocol/limits.ts'
import { expireIfDue } from '../../../src/relay/session/changes.ts'
import { join } from '../../../src/relay/session/joining.ts'
import { answer, attach, detach } from '../../../src/relay/session/presence.ts'
import {
  type ClosedSession,
  deadlineOf,
  liveReceiver,
  type OpenSession,
  type Party,
  partyOf,
  presenceOf,
  type Session,
} from '../../../src/relay/session/session.ts'
import { closeBySender, decide, leave, retireCode, revoke, shutDown } from '../../../src/relay/session/transitions.ts'
import { refusalNow } from '../../support/refusal.ts'
import { newReceiver, newSession } from '../../support/session-values.ts'

const START = 1_000
const NOW = START + 10_000
const HERE = { via: 'socket', node: 'here' } as const
const TTL_SECONDS = 60
const DEADLINE = START + TTL_SECONDS * 1000

const fresh = (maxReceivers = 8) => newSession({ ttlSeconds: TTL_SECONDS, maxReceivers }, START)

/** A session with one receiver, r, that has just joined. */
const joined = () => join(fresh(), newReceiver('r'), NOW)
const approved = () => decide(joined(), 'r', 'approved', NOW)

/** Every situation a command can meet: r, the receiver on channel 1, in each state, and each way to have ended. */
const SITUATIONS = {
  pending: joined,
  approved,
  'denied rejected': () => decide(joined(), 'r', 'rejected', NOW),
  'denied handshake_failed': () => decide(joined(), 'r', 'handshake_failed', NOW),
  done: () => leave(approved(), 1, NOW),
  left: () => leave(joined(), 1, NOW),
  revoked: () => revoke(approved(), 'r', NOW),
  'code retired': () => retireCode(joined(), NOW),
  'closed completed': () => closeBySender(leave(approved(), 1, NOW), NOW),
  'closed closed_by_sender': () => closeBySender(joined(), NOW),
  'closed shutting_down': () => shutDown(joined(), NOW),
  'closed expired': () => expireIfDue(joined(), DEADLINE),
} satisfies Record<string, () => Session>

const COMMANDS = {
  join: (session, now) => join(session, newReceiver('new'), now),
  'join again': (session, now) => join(session, newReceiver('r'), now),
  approve: (session, now) => decide(session, 'r', 'approved', now),
  'deny rejected': (session, now) => decide(session, 'r', 'rejected', now),
  'deny handshake_failed': (session, now) => decide(session, 'r', 'handshake_failed', now),
  'deny handshake_timeout': (session, now) => decide(session, 'r', 'handshake_timeout', now),
  leave: (session, now) => leave(session, 1, now),
  revoke: (session, now) => revoke(session, 'r', now),
  'retire code': retireCode,
  'close by sender': closeBySender,
  'shut down': shutDown,
  expire: expireIfDue,
  'attach sender': (session, now) => attach(session, { role: 'sender' }, HERE, now),
  'attach receiver': (session, now) => attach(session, { role: 'receiver', channel: 1 }, HERE, now),
  'detach sender': (session, now) => detach(session, { role: 'sender' }, 0, now),
  'detach receiver': (session, now) => detach(session, { role: 'receiver', channel: 1 }, 1, now),
  'decide about nobody': (session, now) => decide(session, 'nobody', 'approved', now),
  'revoke nobody': (session, now) => revoke(session, 'nobody', now),
  'leave channel 9': (session, now) => leave(session, 9, now),
  'attach channel 9': (session, now) => attach(session, { role: 'receiver', channel: 9 }, HERE, now),
} satisfies Record<string, (session: Session, now: number) => Session>

/** How a session looks in the table below. */
function describeState(session: Session): string {
  if (session.state === 'closed') return `closed ${session.reason}`
  const [receiver, second] = session.receivers
  const state = receiver?.state === 'denied' ? `denied ${receiver.reason}` : receiver?.state
  const notes = [second && 'new pending', session.retired && 'code retired', attachments(session)].filter(Boolean)
  return [state, ...notes].join(', ')
}

function attachments(session: OpenSession): string {
  const roles = [session.presence && 'sender', liveReceiver(session, 1)?.presence && 'receiver']
  const attached = roles.filter(Boolean).join(' and ')
  return attached && `${attached} attached`
}

/** `=`: the very same value comes back. An error code: refused with it. Otherwise the state that follows. */
type Row = Record<keyof typeof COMMANDS, string>

const same = '='
const everywhere = {
  'decide about nobody': 'receiver_not_found',
  'revoke nobody': 'receiver_not_found',
  'leave channel 9': 'receiver_not_found',
  'attach channel 9': 'receiver_not_found',
  'join again': 'receiver_code_in_use',
  'shut down': 'closed shutting_down',
  'close by sender': 'closed closed_by_sender',
  // Nobody is attached, so that nobody can be detached.
  'detach receiver': same,
  'detach sender': same,
  expire: same,
} satisfies Partial<Row>

/** The same answer to every denial. */
const denials = (answer: string) => ({
  'deny rejected': answer,
  'deny handshake_failed': answer,
  'deny handshake_timeout': answer,
})

const gone = 'session_gone'
const closed: Row = {
  join: 'session_not_found',
  'join again': 'session_not_found',
  approve: gone,
  ...denials(gone),
  leave: gone,
  revoke: gone,
  'retire code': gone,
  'close by sender': same,
  'shut down': same,
  expire: same,
  'attach sender': gone,
  'attach receiver': gone,
  'detach sender': same,
  'detach receiver': same,
  'decide about nobody': gone,
  'revoke nobody': gone,
  'leave channel 9': gone,
  'attach channel 9': gone,
}

/** Outcomes when the receiver is in a state it never leaves. */
const ended = (state: string): Omit<Row, 'approve' | `deny ${string}`> => ({
  ...everywhere,
  join: `${state}, new pending`,
  leave: same,
  revoke: same,
  'retire code': `${state}, code retired`,
  'attach sender': `${state}, sender attached`,
  'attach receiver': same,
})

const TABLE: Record<keyof typeof SITUATIONS, Row> = {
  pending: {
    ...everywhere,
    join: 'pending, new pending',
    approve: 'approved',
    'deny rejected': 'denied rejected',
    'deny handshake_failed': 'denied handshake_failed',
    'deny handshake_timeout': 'denied handshake_timeout',
    leave: 'left',
    revoke: 'not_approved',
    'retire code': 'pending, code retired',
    'attach sender': 'pending, sender attached',
    'attach receiver': 'pending, receiver attached',
  },
  approved: {
    ...everywhere,
    join: 'approved, new pending',
    approve: same,
    ...denials('decision_made'),
    leave: 'done',
    revoke: 'revoked',
    'retire code': 'approved, code retired',
    'attach sender': 'approved, sender attached',
    'attach receiver': 'approved, receiver attached',
  },
  'denied rejected': {
    ...ended('denied rejected'),
    approve: 'decision_made',
    ...denials('decision_made'),
    'deny rejected': same,
  },
  'denied handshake_failed': {
    ...ended('denied handshake_failed'),
    approve: 'decision_made',
    ...denials('decision_made'),
    'deny handshake_failed': same,
  },
  done: {
    ...ended('done'),
    approve: same,
    ...denials('decision_made'),
    'close by sender': 'closed completed',
  },
  left: {
    ...ended('left'),
    approve: 'receiver_gone',
    ...denials('receiver_gone'),
  },
  revoked: {
    ...ended('revoked'),
    approve: same,
    ...denials('decision_made'),
  },
  'code retired': {
    ...everywhere,
    join: 'session_not_found',
    'join again': 'session_not_found',
    approve: 'approved, code retired',
    'deny rejected': 'denied rejected, code retired',
    'deny handshake_failed': 'denied handshake_failed, code retired',
    'deny handshake_timeout': 'denied handshake_timeout, code retired',
    leave: 'left, code retired',
    revoke: 'not_approved',
    'retire code': same,
    'attach sender': 'pending, code retired, sender attached',
    'attach receiver': 'pending, code retired, receiver attached',
  },
  'closed completed': closed,
  'closed closed_by_sender': closed,
  'closed shutting_down': closed,
  'closed expired': closed,
}

describe('every command in every situation', () => {
  for (const [situation, build] of Object.entries(SITUATIONS)) {
    for (const [command, run] of Object.entries(COMMANDS)) {
      const expected = TABLE[situation as keyof typeof SITUATIONS][command as keyof typeof COMMANDS]
      test(`${situation} × ${command}: ${expected}`, () => {
        const before = frozen(build())
        const copy = structuredClone(before)
        const outcome = outcomeOf(() => run(before, NOW), before)
        expect(outcome).toBe(expected)
        expect(before).toEqual(copy)
      })
    }
  }
})

describe('at the deadline, without anybody having noticed', () => {
  const AT_DEADLINE: Row = {
    ...closed,
    'close by sender': 'closed expired',
    'shut down': 'closed expired',
    expire: 'closed expired',
    'detach sender': 'closed expired',
    'detach receiver': 'closed expired',
  }
  const open = Object.entries(SITUATIONS).filter(([situation]) => !situation.startsWith('closed'))

  for (const [situation, build] of open) {
    for (const [command, run] of Object.entries(COMMANDS)) {
      const expected = AT_DEADLINE[command as keyof typeof COMMANDS]
      test(`${situation} × ${command}: ${expected}`, () => {
        const before = frozen(build())
        expect(outcomeOf(() => run(before, DEADLINE), before)).toBe(expected)
        const early = outcomeOf(() => run(before, DEADLINE - 0.001), before)
        expect(early).not.toBe('session_gone')
        expect(early).not.toBe('closed expired')
      })
    }
  }
})

describe('what a change does', () => {
  test('every change raises the version by one, and what is no change leaves it', () => {
    for (const build of Object.values(SITUATIONS)) {
      for (const run of Object.values(COMMANDS)) {
        const before = build()
        let after: Session
        try {
          after = run(before, NOW)
        } catch {
          continue
        }
        expect(after.version - before.version).toBe(after === before ? 0 : 1)
      }
    }
  })

  test('a receiver that ended keeps its row without key and name', () => {
    for (const situation of ['denied rejected', 'done', 'left', 'revoked'] as const) {
      const [receiver] = SITUATIONS[situation]().receivers
      expect(receiver).toMatchObject({ receiverCode: 'r', channel: 1, tokenDigest: 'digest of r' })
      expect(receiver).not.toHaveProperty('publicKey')
      expect(receiver).not.toHaveProperty('name')
    }
  })

  test('a closed session keeps its rows without keys and names, and neither times nor bounds', () => {
    const closedSession = closeBySender(approved(), NOW)
    expect(closedSession).toEqual({
      state: 'closed',
      reason: 'closed_by_sender',
      id: 'id',
      clientId: 'client',
      addressDigest: 'its address',
      senderCode: 'code',
      tokenDigest: 'digest of sender',
      version: 4,
      joins: 1,
      forgetAt: NOW + EPITAPH_MS,
      receivers: [{ receiverCode: 'r', channel: 1, tokenDigest: 'digest of r', state: 'approved' }],
    } satisfies ClosedSession)
  })

  test('the epitaph of an expired session starts at the deadline, however late that is noticed', () => {
    const noticed = expireIfDue(joined(), DEADLINE + 40_000)
    expect(noticed).toMatchObject({ state: 'closed', reason: 'expired', forgetAt: DEADLINE + EPITAPH_MS })
  })

  test('the deadline of a session is its end, then the end of its epitaph', () => {
    expect(deadlineOf(approved())).toBe(DEADLINE)
    expect(deadlineOf(closeBySender(joined(), NOW))).toBe(NOW + EPITAPH_MS)
  })

  test('a token belongs to the role it was issued for, also after the end, and any other to nobody', () => {
    for (const build of Object.values(SITUATIONS)) {
      expect(partyOf(build(), 'digest of sender')).toEqual({ role: 'sender' })
      expect(partyOf(build(), 'digest of r')).toEqual({ role: 'receiver', channel: 1 })
      expect(partyOf(build(), 'digest of new')).toBeUndefined()
    }
  })
})

describe('bounds', () => {
  const joinMany = (session: OpenSession, count: number, from = 0): OpenSession => {
    let next = session
    for (let i = from; i < from + count; i++) next = join(next, newReceiver(`r${i}`), NOW)
    return next
  }

  test(`the ${PENDING_MAX + 1}th pending receiver is refused where all were answered, and comes in when one is decided about`, () => {
    const attacker = newReceiver('one too many')
    let full = joinMany(fresh(), PENDING_MAX)
    for (let channel = 1; channel <= PENDING_MAX; channel++) full = answer(full, channel) as OpenSession
    expect(refusalNow(() => join(full, attacker, NOW))).toBe('session_full')
    expect(join(decide(full, 'r3', 'rejected', NOW), attacker, NOW).receivers).toHaveLength(PENDING_MAX + 1)
  })
})

describe('attachments', () => {
  const SENDER = { role: 'sender' } as const
  const RECEIVER = { role: 'receiver', channel: 1 } as const

  test('generations count up over all roles, and each role knows its own', () => {
    let session = attach(joined(), SENDER, HERE, NOW)
    session = attach(session, RECEIVER, HERE, NOW)
    expect([generationOf(session, SENDER), generationOf(session, RECEIVER)]).toEqual([1, 2])
    session = attach(session, SENDER, HERE, NOW)
    expect([generationOf(session, SENDER), generationOf(session, RECEIVER)]).toEqual([3, 2])
  })

  test('an older socket that goes does not detach the newer one', () => {
    const session = attach(attach(joined(), SENDER, HERE, NOW), SENDER, HERE, NOW)
    expect(detach(session, SENDER, 1, NOW)).toBe(session)
    expect(generationOf(detach(session, SENDER, 2, NOW), SENDER)).toBe(0)
  })

  test('a decision keeps the receiver attached, an end does not', () => {
    const session = attach(joined(), RECEIVER, HERE, NOW)
    expect(generationOf(decide(session, 'r', 'approved', NOW), RECEIVER)).toBe(1)
    expect(generationOf(decide(session, 'r', 'rejected', NOW), RECEIVER)).toBe(0)
    expect(generationOf(closeBySender(session, NOW), RECEIVER)).toBe(0)
  })

  test('a generation is not used again after a detach', () => {
    const session = detach(attach(joined(), SENDER, HERE, NOW), SENDER, 1, NOW)
    expect(generationOf(attach(session as OpenSession, SENDER, HERE, NOW), SENDER)).toBe(2)
  })
})

/** Which attach of a session this role's is, 0 for none. */
function generationOf(session: Session, party: Party): number {
  return presenceOf(session, party)?.generation ?? 0
}

function outcomeOf(call: () => Session, before: Session): string {
  let after = before
  const refusal = refusalNow(() => {
    after = call()
  })
  return refusal ?? (after === before ? same : describeState(after))
}

/** A value nobody can change: a transition that tried would throw. */
function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const each of Object.values(value)) frozen(each)
    Object.freeze(value)
  }
  return value
}
