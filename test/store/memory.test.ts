import { describe, expect, test } from 'vitest'
import { EPITAPH_MS } from '../../src/protocol/limits.ts'
import { expireIfDue } from '../../src/relay/session/changes.ts'
import { closeBySender } from '../../src/relay/session/transitions.ts'
import { MemoryBus } from '../../src/store/memory/bus.ts'
import { MemoryMailboxStore } from '../../src/store/memory/mailboxes.ts'
import { MemorySessionStore } from '../../src/store/memory/sessions.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { newSession } from '../support/session-values.ts'
import { storeContract } from './contract.ts'

storeContract('memory stores', async () => {
  const clock = new FakeClock()
  return {
    sessions: new MemorySessionStore(clock),
    mailboxes: new MemoryMailboxStore(),
    bus: new MemoryBus(),
    now: () => clock.now(),
    advance: async (milliseconds) => clock.advance(milliseconds),
    delivered: async () => {},
    close: async () => {},
  }
})

describe('what memory stores hold', () => {
  const CAPS = { sessions: 1000, sessionsPerClient: 1000, sessionsPerAddress: 1000 }
  const open = (clock: FakeClock, number: number, ttlSeconds: number) =>
    newSession(
      { id: `session-${number}`, clientId: `client-${number % 3}`, senderCode: `code-${number}`, ttlSeconds },
      clock.now(),
    )

  test('every index is empty again after a thousand sessions of every length have come and gone', async () => {
    const clock = new FakeClock()
    const store = new MemorySessionStore(clock)
    for (let number = 0; number < 1000; number++) {
      await store.create(open(clock, number, 30 + (number % 200)), CAPS)
      if (number % 2 === 0) await store.update(`session-${number}`, closeBySender)
      clock.advance(7)
    }
    expect(store.size).toBe(1000)
    for (let second = 0; second < 300 + EPITAPH_MS / 1_000; second++) {
      clock.advance(1_000)
      for (const id of await store.due()) {
        const session = await store.get(id)
        if (session?.state === 'closed') await store.delete(id)
        else await store.update(id, expireIfDue)
      }
    }
    expect(store.size).toBe(0)
    expect(store.entries).toBe(0)
  })

  test('a sweep that comes late finds everything that was due meanwhile', async () => {
    const clock = new FakeClock()
    const store = new MemorySessionStore(clock)
    for (let number = 0; number < 10; number++) await store.create(open(clock, number, 30 + number * 10), CAPS)
    clock.advance(3_600_000)
    expect(await store.due()).toHaveLength(10)
  })

  test('the cost of all mailboxes is the sum of what each holds, and 0 when all was acked or dropped', async () => {
    const store = new MemoryMailboxStore()
    await store.open('one/1/s2r', 0)
    await store.open('two/1/s2r', 0)
    await store.append('one/1/s2r', { seq: 1, bytes: new Uint8Array(1000) }, 10_000)
    await store.append('two/1/s2r', { seq: 1, bytes: new Uint8Array(9) }, 10_000)
    expect(store.unackedCost).toBe(1256)
    await store.ackThrough('one/1/s2r', 1)
    expect(store.unackedCost).toBe(256)
    await store.drop(['two/1/s2r'])
    expect(store.unackedCost).toBe(0)
    expect(store.size).toBe(1)
  })
})
