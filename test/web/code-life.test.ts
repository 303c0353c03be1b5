import { describe, expect, test } from 'vitest'
import {
  born,
  type CodeLife,
  isFollowed,
  type LifeEvent,
  live,
  type Order,
  OVERLAP_MS,
  RENEWALS_MAX,
  SHOWN_MAX_MS,
} from '../../src/web/flow/code-life.ts'
import { FakeClock } from '../support/fake-clock.ts'

const HOUR_MS = 3_600_000
const TICK = { is: 'tick', isSeen: true } as const
const HIDDEN = { is: 'tick', isSeen: false } as const

/** A code on a fake clock; each session that is asked for opens at once unless a test says otherwise. */
class Code {
  readonly clock = new FakeClock()
  life: CodeLife
  readonly orders: Order[] = []
  readonly expiresInMs: number
  #sessions = 1

  constructor(expiresInMs = HOUR_MS) {
    this.expiresInMs = expiresInMs
    this.life = born(1, expiresInMs, this.clock.now())
  }

  tell(event: LifeEvent): Order[] {
    const { life, orders } = live(this.life, event, this.clock.now())
    this.life = life
    this.orders.push(...orders)
    return [...orders]
  }

  open(): Order[] {
    return this.tell({ is: 'opened', session: ++this.#sessions, expiresInMs: this.expiresInMs })
  }

  /** Moves time to where the code that is shown is over, and ticks. */
  runOut(event: LifeEvent = TICK): Order[] {
    this.clock.set(Math.max(this.clock.now(), this.life.until))
    return this.tell(event)
  }
}

describe('the life of a code', () => {
  test('is shown for 15 minutes, or for half of what the session lives', () => {
    const at = new FakeClock().now()
    expect(born(1, HOUR_MS, at).until - at).toBe(SHOWN_MAX_MS)
    expect(born(1, 60_000, at).until - at).toBe(30_000)
  })

  test('nothing happens before its time is over', () => {
    const code = new Code()
    code.clock.advance(SHOWN_MAX_MS - 1)
    expect(code.tell(TICK)).toEqual([])
    code.clock.advance(1)
    expect(code.tell(TICK)).toEqual([{ is: 'open' }])
  })

  test('asks for one session, however often it ticks', () => {
    const code = new Code()
    code.runOut()
    expect(code.tell(TICK)).toEqual([])
  })

  test('works for a minute more beside the one that follows', () => {
    const code = new Code()
    code.runOut()
    expect(code.open()).toEqual([])
    expect(code.life).toMatchObject({ session: 2, before: { session: 1 } })
    code.clock.advance(OVERLAP_MS - 1)
    expect(code.tell(TICK)).toEqual([])
    code.clock.advance(1)
    expect(code.tell(TICK)).toEqual([{ is: 'cancel', session: 1 }])
    expect(code.life.before).toBeUndefined()
  })

  test('a device verified with the old code cancels the new one', () => {
    const code = new Code()
    code.runOut()
    code.open()
    expect(code.tell({ is: 'verified', session: 1 })).toEqual([{ is: 'cancel', session: 2 }])
    expect(code.life.session).toBe(1)
  })

  test('a device verified with the new code cancels the old one', () => {
    const code = new Code()
    code.runOut()
    code.open()
    expect(code.tell({ is: 'verified', session: 2 })).toEqual([{ is: 'cancel', session: 1 }])
    expect(code.life.session).toBe(2)
  })

  test('a device verified while another session is being opened cancels that', () => {
    const code = new Code()
    code.runOut()
    expect(code.tell({ is: 'verified', session: 1 })).toEqual([])
    expect(code.open()).toEqual([{ is: 'cancel', session: 2 }])
    expect(code.life.session).toBe(1)
  })

  test('after a device was verified no other code follows, and the page ends nothing', () => {
    const code = new Code()
    code.tell({ is: 'verified', session: 1 })
    expect(code.life.until).toBe(code.life.expiresAt)
    expect(code.runOut()).toEqual([])
    expect(isFollowed(code.life)).toBe(false)
  })

  test('follows three times, and then ends', () => {
    const code = new Code()
    for (let n = 0; n < RENEWALS_MAX; n++) {
      expect(code.runOut()).toContainEqual({ is: 'open' })
      code.open()
    }
    expect(isFollowed(code.life)).toBe(false)
    expect(code.runOut()).toContainEqual({ is: 'end' })
  })

  test('never follows after a failed attempt', () => {
    const code = new Code()
    code.tell({ is: 'tried' })
    expect(isFollowed(code.life)).toBe(false)
    expect(code.runOut()).toEqual([{ is: 'end' }])
  })

  test('waits until the page is seen, and ends when the session does', () => {
    const code = new Code()
    expect(code.runOut(HIDDEN)).toEqual([])
    expect(code.tell(TICK)).toEqual([{ is: 'open' }])
    const other = new Code()
    other.clock.set(other.life.expiresAt)
    expect(other.tell(HIDDEN)).toEqual([{ is: 'end' }])
  })

  test('stays until its session ends when no other can be opened', () => {
    const code = new Code()
    code.runOut()
    code.tell({ is: 'not_opened' })
    expect(code.life.until).toBe(code.life.expiresAt)
    expect(code.tell(TICK)).toEqual([])
    expect(code.runOut()).toEqual([{ is: 'end' }])
  })

  test('a session of a minute leaves none open twice', () => {
    const code = new Code(60_000)
    code.runOut()
    code.open()
    code.runOut()
    expect(code.open()).toEqual([{ is: 'cancel', session: 1 }])
    expect(code.life).toMatchObject({ session: 3, before: { session: 2 } })
  })
})
