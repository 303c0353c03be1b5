import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { encodeData } from '../../src/protocol/frame.ts'
import { EPITAPH_MS, frameCost, PENDING_ABSENT_MS, SEQ_MAX } from '../../src/protocol/limits.ts'
import { inOnePiece, Pieces } from '../../src/relay/pieces.ts'
import type { Bus, MailboxKey, MailboxStore, SessionStore, StoredFrame } from '../../src/relay/ports.ts'
import { join } from '../../src/relay/session/joining.ts'
import { answer, attach, detach } from '../../src/relay/session/presence.ts'
import { type OpenSession, type Session, WIDER_FACTOR } from '../../src/relay/session/session.ts'
import { closeBySender, type NewSession, openSession, retireCode } from '../../src/relay/session/transitions.ts'
import { holds, often } from '../support/property.ts'
import { expectRefusal, refusalOf } from '../support/refusal.ts'
import { newReceiver, newSession } from '../support/session-values.ts'

/** A fresh, empty set of stores of one node, and what a test does around them. */
export interface Stores {
  readonly sessions: SessionStore
  readonly mailboxes: MailboxStore
  readonly bus: Bus
  /** The stores' time, in milliseconds. */
  now(): number
  /** Lets this much of the stores' time pass: a deadline it reaches exactly is due. */
  advance(milliseconds: number): Promise<void>
  /** Resolves when what was woken so far has reached the listeners. */
  delivered(): Promise<void>
  close(): Promise<void>
}

/** How long a mailbox is kept, in milliseconds: longer than any test. */
const KEEP_MS = 600_000
const CAPS = { sessions: 1000, sessionsPerClient: 1000, sessionsPerAddress: 1000 }

const PLAIN_WINDOW = 4096

/** A mailbox as plainly as possible: a list of all frames that ever came, and how far it was acked. */
class PlainMailbox {
  acked: number
  received: number
  readonly costs = new Map<number, number>()

  constructor(floor: number) {
    this.acked = this.received = floor
  }

  get position() {
    return { received: this.received, acked: this.acked }
  }

  get unackedCost(): number {
    let sum = 0
    for (const [seq, cost] of this.costs) if (seq > this.acked) sum += cost
    return sum
  }

  append(seq: number, cost: number): string {
    if (seq <= this.received) return 'duplicate'
    if (seq !== this.received + 1) return 'gap'
    if (this.unackedCost + cost > PLAIN_WINDOW) return 'full'
    this.costs.set(seq, cost)
    this.received = seq
    return 'stored'
  }

  ack(seq: number): string {
    if (seq <= this.acked) return 'unchanged'
    this.acked = seq
    this.received = Math.max(seq, this.received)
    return 'raised'
  }

  read(after: number): number | undefined {
    const seq = Math.max(after, this.acked) + 1
    return seq <= this.received ? seq : undefined
  }
}

const mostlyNext = fc.oneof(
  { weight: 6, arbitrary: fc.constant(1) },
  { weight: 1, arbitrary: fc.integer({ min: -3, max: 3 }) },
)
const size = fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: PLAIN_WINDOW }))
const command = fc.oneof(
  often(5, ['append'], { ahead: mostlyNext, size }),
  often(4, ['ack', 'read'], { ahead: fc.integer({ min: -20, max: 2 }) }),
)

/** The behaviour of every store. Nothing here assumes that a store answers in the same turn, in this process or in order. */
export function storeContract(name: string, makeStores: () => Promise<Stores>): void {
  describe(name, () => {
    let stores: Stores
    let made = 0

    beforeEach(async () => {
      stores = await makeStores()
    })
    afterEach(async () => {
      await stores.close()
    })

    const session = (input: Partial<NewSession> = {}): OpenSession => {
      const names = { id: `session-${++made}`, senderCode: `code-${made}`, tokenDigest: `digest-${made}` }
      return newSession({ ...names, ...input }, stores.now())
    }
    const created = async (input: Partial<NewSession> = {}): Promise<OpenSession> => {
      const made = session(input)
      await stores.sessions.create(made, CAPS)
      return made
    }
    const joining = (receiverCode: string) => (current: Session, now: number) =>
      join(current, newReceiver(receiverCode), now)
    /** The outcomes of calls that are made at once: how many were refused with which code. */
    const atOnce = async (count: number, call: () => Promise<unknown>) => {
      const outcomes = await Promise.all(Array.from({ length: count }, () => refusalOf(call)))
      return Object.fromEntries(
        [...new Set(outcomes)].map((code) => [code ?? 'done', outcomes.filter((each) => each === code).length]),
      )
    }

    describe('sessions', () => {
      test('a session is found by its id and by its code, as it was written', async () => {
        const one = await created()
        expect(await stores.sessions.get(one.id)).toEqual(one)
        expect(await stores.sessions.findByCode(one.senderCode)).toEqual(one)
      })

      test('an id or a code nobody registered finds nothing', async () => {
        await created()
        expect(await stores.sessions.get('code-1')).toBeUndefined()
        expect(await stores.sessions.findByCode('nobody')).toBeUndefined()
      })

      test('codes differ by case', async () => {
        const lower = await created({ senderCode: 'code-a' })
        const upper = await created({ senderCode: 'CODE-A' })
        expect((await stores.sessions.findByCode('code-a'))?.id).toBe(lower.id)
        expect((await stores.sessions.findByCode('CODE-A'))?.id).toBe(upper.id)
      })

      test('a code in use is refused, and who has it keeps it', async () => {
        const first = await created({ senderCode: 'taken' })
        const second = session({ senderCode: 'taken' })
        await expectRefusal(() => stores.sessions.create(second, CAPS), 'code_in_use')
        expect((await stores.sessions.findByCode('taken'))?.id).toBe(first.id)
        expect(await stores.sessions.get(second.id)).toBeUndefined()
      })

      test('of many who register one code at the same time, one gets it', async () => {
        const attempts = Array.from({ length: 20 }, () => session({ senderCode: 'wanted' }))
        const outcomes = await Promise.all(attempts.map((each) => refusalOf(() => stores.sessions.create(each, CAPS))))
        expect(outcomes.filter((each) => each === undefined)).toHaveLength(1)
        expect(outcomes.filter((each) => each === 'code_in_use')).toHaveLength(19)
        const winner = attempts[outcomes.indexOf(undefined)]
        expect((await stores.sessions.findByCode('wanted'))?.id).toBe(winner?.id)
      })

      test('a code is free again once its session is deleted, not when it is retired or closed', async () => {
        const one = await created({ senderCode: 'again' })
        await stores.sessions.update(one.id, retireCode)
        await expectRefusal(() => stores.sessions.create(session({ senderCode: 'again' }), CAPS), 'code_in_use')
        await stores.sessions.update(one.id, closeBySender)
        await expectRefusal(() => stores.sessions.create(session({ senderCode: 'again' }), CAPS), 'code_in_use')
        await stores.sessions.delete(one.id)
        const next = await created({ senderCode: 'again' })
        expect((await stores.sessions.findByCode('again'))?.id).toBe(next.id)
      })

      test('sessions beyond the cap are refused with at_capacity, however many ask at once', async () => {
        const caps = { ...CAPS, sessions: 3 }
        const outcomes = await atOnce(10, () => stores.sessions.create(session(), caps))
        expect(outcomes).toEqual({ done: 3, at_capacity: 7 })
      })

      test('a session in its epitaph still counts against the cap, a deleted one does not', async () => {
        const caps = { ...CAPS, sessions: 1 }
        const one = session()
        await stores.sessions.create(one, caps)
        await stores.sessions.update(one.id, closeBySender)
        await expectRefusal(() => stores.sessions.create(session(), caps), 'at_capacity')
        await stores.sessions.delete(one.id)
        await stores.sessions.create(session(), caps)
      })

      test('open sessions of one client id beyond its cap are refused with too_many_sessions, those of others are not', async () => {
        const caps = { ...CAPS, sessionsPerClient: 2 }
        const outcomes = await atOnce(5, () => stores.sessions.create(session({ clientId: 'greedy' }), caps))
        expect(outcomes).toEqual({ done: 2, too_many_sessions: 3 })
        await stores.sessions.create(session({ clientId: 'modest' }), caps)
      })

      test.each<[string, number, () => string]>([
        ['client address', 2, () => 'greedy'],
        ['wider network', 2 / WIDER_FACTOR, () => `network|${made}`],
      ])(
        'open sessions of one %s beyond its cap are refused with too_many_sessions, closed ones are not counted',
        async (_, sessionsPerAddress, digest) => {
          const caps = { ...CAPS, sessionsPerAddress }
          const attacker = () => session({ addressDigest: digest(), clientId: `client ${made}` })
          const first = attacker()
          await stores.sessions.create(first, caps)
          const outcomes = await atOnce(5, () => stores.sessions.create(attacker(), caps))
          expect(outcomes).toEqual({ done: 1, too_many_sessions: 4 })
          await stores.sessions.create(session({ addressDigest: 'modest' }), caps)
          await stores.sessions.update(first.id, closeBySender)
          await stores.sessions.create(attacker(), caps)
          await expectRefusal(() => stores.sessions.create(attacker(), caps), 'too_many_sessions')
        },
      )

      test('sessions of nobody’s address are not counted for one', async () => {
        const caps = { ...CAPS, sessionsPerAddress: 1 }
        for (let i = 0; i < 3; i++) await stores.sessions.create(session({ addressDigest: '' }), caps)
      })

      test('a session that was deleted while it was open counts against nobody', async () => {
        const caps = { ...CAPS, sessionsPerAddress: 1, sessionsPerClient: 1 }
        const one = session({ ttlSeconds: 30 })
        await stores.sessions.create(one, caps)
        await stores.sessions.delete(one.id)
        await stores.sessions.create(session(), caps)
      })

      test('a closed session no longer counts against its client id, and closing it twice counts once', async () => {
        const caps = { ...CAPS, sessionsPerClient: 1 }
        const one = session()
        await stores.sessions.create(one, caps)
        await stores.sessions.update(one.id, closeBySender)
        await stores.sessions.update(one.id, closeBySender)
        const two = session()
        await stores.sessions.create(two, caps)
        await stores.sessions.delete(one.id)
        await expectRefusal(() => stores.sessions.create(session(), caps), 'too_many_sessions')
        await stores.sessions.delete(two.id)
        await stores.sessions.create(session(), caps)
      })

      test('a refused create leaves the code free', async () => {
        const refused = session({ senderCode: 'not yet' })
        await expectRefusal(() => stores.sessions.create(refused, { ...CAPS, sessions: 0 }), 'at_capacity')
        await expectRefusal(
          () => stores.sessions.create(refused, { ...CAPS, sessionsPerClient: 0 }),
          'too_many_sessions',
        )
        expect(await stores.sessions.findByCode('not yet')).toBeUndefined()
        await stores.sessions.create(refused, CAPS)
      })

      test('an update answers with the new value and keeps it', async () => {
        const one = await created()
        const updated = await stores.sessions.update(one.id, joining('receiver'))
        expect(updated).toMatchObject({ version: one.version + 1, receivers: [{ receiverCode: 'receiver' }] })
        expect(await stores.sessions.get(one.id)).toEqual(updated)
        expect(await stores.sessions.findByCode(one.senderCode)).toEqual(updated)
      })

      test('an update gets the stores’ present time', async () => {
        const one = await created()
        await stores.advance(5_000)
        const before = stores.now()
        let seen: number | undefined
        await stores.sessions.update(one.id, (current, now) => {
          seen = now
          return current
        })
        expect(seen).toBeGreaterThanOrEqual(before)
        expect(seen).toBeLessThanOrEqual(stores.now())
      })

      test('an update that throws changes nothing and throws on', async () => {
        const one = await created()
        await stores.sessions.update(one.id, joining('receiver'))
        const before = await stores.sessions.get(one.id)
        await expectRefusal(() => stores.sessions.update(one.id, joining('receiver')), 'receiver_code_in_use')
        const bug = new TypeError('a bug')
        await expect(
          stores.sessions.update(one.id, () => {
            throw bug
          }),
        ).rejects.toThrow(bug)
        expect(await stores.sessions.get(one.id)).toEqual(before)
      })

      test('an update of what is not there is refused with session_not_found, and nothing is called', async () => {
        let calls = 0
        const change = (current: Session) => {
          calls++
          return current
        }
        await expectRefusal(() => stores.sessions.update('nothing', change), 'session_not_found')
        const one = await created()
        await stores.sessions.delete(one.id)
        await expectRefusal(() => stores.sessions.update(one.id, change), 'session_not_found')
        expect(calls).toBe(0)
      })

      test('updates of one session at the same time all take effect, one after the other', async () => {
        const one = await created()
        const codes = Array.from({ length: 8 }, (_, index) => `receiver-${index}`)
        await Promise.all(codes.map((code) => stores.sessions.update(one.id, joining(code))))
        const after = await stores.sessions.get(one.id)
        expect(after?.version).toBe(one.version + 8)
        expect(after?.receivers.map((each) => each.receiverCode).sort()).toEqual(codes)
        expect(after?.receivers.map((each) => each.channel)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
      })

      test('of updates at the same time that exclude each other, one takes effect', async () => {
        const one = await created()
        const outcomes = await atOnce(8, () => stores.sessions.update(one.id, joining('the same')))
        expect(outcomes).toEqual({ done: 1, receiver_code_in_use: 7 })
        expect((await stores.sessions.get(one.id))?.receivers).toHaveLength(1)
      })

      test('an update of one session leaves the others alone', async () => {
        const [one, other] = [await created(), await created()]
        await stores.sessions.update(one.id, closeBySender)
        expect(await stores.sessions.get(other.id)).toEqual(other)
      })

      test('a deleted session is gone by id and by code, and deleting it again does nothing', async () => {
        const one = await created()
        await stores.sessions.delete(one.id)
        await stores.sessions.delete(one.id)
        expect(await stores.sessions.get(one.id)).toBeUndefined()
        expect(await stores.sessions.findByCode(one.senderCode)).toBeUndefined()
      })

      test('a late delete does not take the code from its next owner', async () => {
        const one = await created({ senderCode: 'inherited' })
        await stores.sessions.delete(one.id)
        const two = await created({ senderCode: 'inherited' })
        await stores.sessions.delete(one.id)
        expect((await stores.sessions.findByCode('inherited'))?.id).toBe(two.id)
      })

      test('a session is due when its time is up, and not before', async () => {
        const short = await created({ ttlSeconds: 30 })
        const long = await created({ ttlSeconds: 90 })
        expect(await stores.sessions.due()).toEqual([])
        await stores.advance(29_000)
        expect(await stores.sessions.due()).toEqual([])
        await stores.advance(1_000)
        expect(await stores.sessions.due()).toEqual([short.id])
        await stores.advance(60_000)
        expect([...(await stores.sessions.due())].sort()).toEqual([short.id, long.id].sort())
      })

      test('a closed session is due when its epitaph ends, whatever its first deadline was', async () => {
        const one = await created({ ttlSeconds: 3600 })
        await stores.sessions.update(one.id, closeBySender)
        await stores.advance(EPITAPH_MS - 1_000)
        expect(await stores.sessions.due()).toEqual([])
        await stores.advance(1_000)
        expect(await stores.sessions.due()).toEqual([one.id])
      })

      test('a deadline in the past is due at once', async () => {
        await stores.advance(600_000)
        const late = openSession({ ...session({ ttlSeconds: 30 }) }, stores.now() - 60_000)
        await stores.sessions.create({ ...late, version: 1 }, CAPS)
        expect(await stores.sessions.due()).toEqual([late.id])
      })

      test('a session is due when a receiver that waits was away for too long, and at its own end after that', async () => {
        const one = await created({ ttlSeconds: 600 })
        await stores.advance(5_000)
        await stores.sessions.update(one.id, joining('receiver'))
        await stores.advance(PENDING_ABSENT_MS - 1_000)
        expect(await stores.sessions.due()).toEqual([])
        await stores.advance(1_000)
        expect(await stores.sessions.due()).toEqual([one.id])
        await stores.sessions.update(one.id, (session) => answer(session, 1))
        expect(await stores.sessions.due()).toEqual([])
        await stores.advance(600_000)
        expect(await stores.sessions.due()).toEqual([one.id])
      })

      test('a session that is looked at later than it was to be is due then, and not before', async () => {
        const one = await created({ ttlSeconds: 600 })
        const party = { role: 'receiver', channel: 1 } as const
        await stores.sessions.update(one.id, joining('receiver'))
        for (let coming = 1; coming <= 3; coming++) {
          await stores.advance(PENDING_ABSENT_MS - 5_000)
          const arrival = { via: 'socket', node: 'here' } as const
          await stores.sessions.update(one.id, (session, now) => attach(session, party, arrival, now))
          await stores.sessions.update(one.id, (session, now) => detach(session, party, coming, now))
          expect(await stores.sessions.due()).toEqual([])
        }
        await stores.advance(PENDING_ABSENT_MS)
        expect(await stores.sessions.due()).toEqual([one.id])
        await stores.sessions.update(one.id, joining('another'))
        await stores.sessions.update(one.id, (session) => answer(session, 1))
        await stores.advance(PENDING_ABSENT_MS - 1_000)
        expect(await stores.sessions.due()).toEqual([])
        await stores.advance(1_000)
        expect(await stores.sessions.due()).toEqual([one.id])
      })

      test('a deleted session is not due', async () => {
        const one = await created({ ttlSeconds: 30 })
        await stores.sessions.delete(one.id)
        await stores.advance(60_000)
        expect(await stores.sessions.due()).toEqual([])
      })
    })

    describe('mailboxes', () => {
      const KEY: MailboxKey = 'session/1/s2r'
      const WINDOW = 10 * frameCost(0)
      const frame = (seq: number, bytes = 10): StoredFrame => ({
        seq,
        bytes: encodeData(1, seq, new Uint8Array(bytes).fill(seq)),
      })
      const filled = async (frames: number, key: MailboxKey = KEY) => {
        await stores.mailboxes.open(key, 0, KEEP_MS)
        for (let seq = 1; seq <= frames; seq++) await stores.mailboxes.append(key, frame(seq), WINDOW)
      }
      const bytesOf = ({ bytes }: StoredFrame) => Buffer.from(inOnePiece(bytes))
      const bytesAfter = async (seq: number) => {
        const read = await stores.mailboxes.read(KEY, seq)
        return read && bytesOf(read)
      }
      const held = async (key: MailboxKey = KEY) => {
        const seqs: number[] = []
        let after = 0
        for (;;) {
          const next = await stores.mailboxes.read(key, after)
          if (!next) return seqs
          seqs.push(next.seq)
          after = next.seq
        }
      }

      test('a mailbox that was never opened is unknown to everything', async () => {
        expect(await stores.mailboxes.append(KEY, frame(1), WINDOW)).toEqual({ kind: 'unknown' })
        expect(await stores.mailboxes.ackThrough(KEY, 1)).toEqual({ kind: 'unknown' })
        expect(await stores.mailboxes.read(KEY, 0)).toBeUndefined()
        expect(await stores.mailboxes.position(KEY)).toBeUndefined()
      })

      holds(
        'does what a plain list does, for any commands from any floor',
        40,
        fc.tuple(fc.constantFrom(0, 1, 77, SEQ_MAX - 100), fc.array(command, { maxLength: 60, size: 'max' })),
        async ([floor, commands]) => {
          const plain = new PlainMailbox(floor)
          await stores.mailboxes.drop([KEY])
          await stores.mailboxes.open(KEY, floor, KEEP_MS)
          for (const each of commands) {
            const seq = Math.max(0, plain.received + each.ahead)
            if (each.do === 'append') {
              const kind = plain.append(seq, frameCost(each.size))
              const { position, unackedCost } = plain
              const outcome = await stores.mailboxes.append(KEY, frame(seq, each.size), PLAIN_WINDOW)
              expect(outcome).toMatchObject(kind === 'stored' ? { kind, position, unackedCost } : { kind, position })
            } else if (each.do === 'ack') {
              const kind = plain.ack(seq)
              expect(await stores.mailboxes.ackThrough(KEY, seq)).toEqual({ kind, position: plain.position })
            } else expect((await stores.mailboxes.read(KEY, seq))?.seq).toBe(plain.read(seq))
          }
        },
      )

      test('opening tells whether the mailbox was new, and where it stands', async () => {
        const fresh = { received: 0, acked: 0 }
        expect(await stores.mailboxes.open(KEY, 0, KEEP_MS)).toEqual({ created: true, position: fresh })
        expect(await stores.mailboxes.open(KEY, 0, KEEP_MS)).toEqual({ created: false, position: fresh })
        expect(await stores.mailboxes.position(KEY)).toEqual(fresh)
      })

      test('of many who open one mailbox at the same time, one creates it', async () => {
        const outcomes = await Promise.all(Array.from({ length: 10 }, () => stores.mailboxes.open(KEY, 0, KEEP_MS)))
        expect(outcomes.filter((each) => each.created)).toHaveLength(1)
      })

      test('opening again acks nothing and raises nothing, whatever floor it has', async () => {
        await filled(5)
        await stores.mailboxes.ackThrough(KEY, 2)
        for (const floor of [0, 3, 5, 9]) {
          expect(await stores.mailboxes.open(KEY, floor, KEEP_MS)).toEqual({
            created: false,
            position: { received: 5, acked: 2 },
          })
        }
        expect(await held()).toEqual([3, 4, 5])
      })

      test('a frame in several pieces comes back whole, and costs what it does in one', async () => {
        await filled(1)
        const whole = bytesOf(frame(2, 100))
        const bytes = new Pieces([whole.subarray(0, 20), whole.subarray(20, 21), whole.subarray(21)])
        const { unackedCost } = (await stores.mailboxes.append(KEY, { seq: 2, bytes }, WINDOW)) as {
          unackedCost: number
        }
        expect(unackedCost).toBe(frameCost(10) + frameCost(100))
        expect(await bytesAfter(1)).toEqual(whole)
      })

      test('a duplicate changes nothing, whatever bytes it has', async () => {
        await filled(3)
        const forged = { seq: 2, bytes: encodeData(1, 2, Buffer.from('forged')) }
        expect(await stores.mailboxes.append(KEY, forged, WINDOW)).toMatchObject({
          kind: 'duplicate',
          position: { received: 3, acked: 0 },
        })
        expect(await bytesAfter(1)).toEqual(bytesOf(frame(2)))
        expect(await held()).toEqual([1, 2, 3])
      })

      test('of the same frame sent many times at once, one is stored', async () => {
        await stores.mailboxes.open(KEY, 0, KEEP_MS)
        const outcomes = await Promise.all(
          Array.from({ length: 10 }, () => stores.mailboxes.append(KEY, frame(1), WINDOW)),
        )
        expect(outcomes.filter((each) => each.kind === 'stored')).toHaveLength(1)
        expect(outcomes.filter((each) => each.kind === 'duplicate')).toHaveLength(9)
        expect(await held()).toEqual([1])
      })

      test('what fits the window exactly is stored, one byte more is full and changes nothing', async () => {
        await stores.mailboxes.open(KEY, 0, KEEP_MS)
        await stores.mailboxes.append(KEY, frame(1, 992), 2000)
        expect(await stores.mailboxes.append(KEY, frame(2, 993), 2000)).toMatchObject({
          kind: 'full',
          position: { received: 1, acked: 0 },
        })
        expect(await held()).toEqual([1])
        expect(await stores.mailboxes.append(KEY, frame(2, 992), 2000)).toMatchObject({
          kind: 'stored',
          unackedCost: 2000,
        })
      })

      test('a seq can be the largest of 32 bits', async () => {
        const last = 0xffff_ffff
        await stores.mailboxes.open(KEY, last - 1, KEEP_MS)
        expect((await stores.mailboxes.append(KEY, frame(last), WINDOW)).kind).toBe('stored')
        expect((await stores.mailboxes.read(KEY, last - 1))?.seq).toBe(last)
        expect(await stores.mailboxes.ackThrough(KEY, last)).toMatchObject({
          position: { received: last, acked: last },
        })
      })

      test('a dropped mailbox is unknown again until it is opened, and dropping it again does nothing', async () => {
        await filled(3)
        await stores.mailboxes.drop([KEY])
        await stores.mailboxes.drop([KEY])
        expect(await stores.mailboxes.append(KEY, frame(4), WINDOW)).toEqual({ kind: 'unknown' })
        expect(await stores.mailboxes.ackThrough(KEY, 4)).toEqual({ kind: 'unknown' })
        expect(await stores.mailboxes.read(KEY, 0)).toBeUndefined()
        expect(await stores.mailboxes.position(KEY)).toBeUndefined()
        expect(await stores.mailboxes.open(KEY, 1, KEEP_MS)).toEqual({
          created: true,
          position: { received: 1, acked: 1 },
        })
        expect(await held()).toEqual([])
      })

      test('mailboxes know nothing of each other', async () => {
        const others: MailboxKey[] = ['session/1/r2s', 'session/2/s2r', 'session/11/s2r', 'other/1/s2r']
        await filled(3)
        for (const key of others) await filled(1, key)
        await stores.mailboxes.drop([KEY])
        for (const key of others) expect(await held(key)).toEqual([1])
      })
    })

    describe('the bus', () => {
      const SESSION = { about: 'session' } as const
      const listening = () => {
        const heard = new Set<string>()
        stores.bus.subscribe({ woken: (sessionId) => heard.add(sessionId), missed: () => {} })
        return heard
      }

      test('waking a session reaches every listener with its id', async () => {
        const [first, second] = [listening(), listening()]
        stores.bus.wake('one', SESSION)
        stores.bus.wake('two', SESSION)
        await stores.delivered()
        expect([...first].sort()).toEqual(['one', 'two'])
        expect([...second].sort()).toEqual(['one', 'two'])
      })

      test('who changes a session hears of it in the same turn, and that it was here', () => {
        const heard: unknown[] = []
        stores.bus.subscribe({ woken: (...wake) => heard.push(wake), missed: () => {} })
        stores.bus.wake('one', SESSION)
        expect(heard).toEqual([['one', SESSION, true]])
      })

      test('and does not hear it a second time', async () => {
        const heard: unknown[] = []
        stores.bus.subscribe({ woken: (...wake) => heard.push(wake), missed: () => {} })
        stores.bus.wake('one', SESSION)
        await stores.delivered()
        expect(heard).toHaveLength(1)
      })

      test('waking with nobody listening does nothing', async () => {
        stores.bus.wake('one', SESSION)
        await stores.delivered()
      })
    })
  })
}
