import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { frameCost, SEQ_MAX } from '../../../src/protocol/limits.ts'
import { Mailbox } from '../../../src/relay/channel/mailbox.ts'
import { holds } from '../../support/property.ts'

const WINDOW = 4096
const frame = (seq: number, ciphertextBytes = 1) => ({ seq, bytes: new Uint8Array(8 + ciphertextBytes).fill(seq) })

/** A mailbox as plainly as possible: a list of all frames that ever came, and how far it was acked. */
class PlainMailbox {
  acked: number
  received: number
  readonly costs = new Map<number, number>()

  constructor(floor: number) {
    this.acked = this.received = floor
  }

  get unackedCost(): number {
    let sum = 0
    for (const [seq, cost] of this.costs) if (seq > this.acked) sum += cost
    return sum
  }

  append(seq: number, cost: number): string {
    if (seq <= this.received) return 'duplicate'
    if (seq !== this.received + 1) return 'gap'
    if (this.unackedCost + cost > WINDOW) return 'full'
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

type Command =
  | { readonly do: 'append'; readonly ahead: number; readonly size: number }
  | { readonly do: 'ack' | 'read'; readonly ahead: number }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      ahead: fc.oneof(
        { weight: 6, arbitrary: fc.constant(1) },
        { weight: 1, arbitrary: fc.integer({ min: -3, max: 3 }) },
      ),
      size: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: WINDOW })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('ack' as const), ahead: fc.integer({ min: -20, max: 2 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('read' as const), ahead: fc.integer({ min: -20, max: 2 }) }) },
)

describe('a mailbox', () => {
  holds(
    'does what a plain list does, for any commands from any floor',
    200,
    fc.tuple(fc.constantFrom(0, 1, 77, SEQ_MAX - 100), fc.array(command, { maxLength: 200, size: 'max' })),
    ([floor, commands]) => {
      const [mailbox, plain] = [new Mailbox(floor), new PlainMailbox(floor)]
      for (const each of commands) {
        const seq = Math.max(0, plain.received + each.ahead)
        switch (each.do) {
          case 'append':
            expect(mailbox.append(frame(seq, each.size), WINDOW)).toBe(plain.append(seq, frameCost(each.size)))
            break
          case 'ack':
            expect(mailbox.ackThrough(seq)).toBe(plain.ack(seq))
            break
          case 'read':
            expect(mailbox.read(seq)?.seq).toBe(plain.read(seq))
            break
          default:
            each satisfies never
        }
        expect(mailbox.position).toEqual({ received: plain.received, acked: plain.acked })
        expect(mailbox.unackedCost).toBe(plain.unackedCost)
        expect(mailbox.unackedCost).toBeLessThanOrEqual(WINDOW)
      }
    },
  )

  test('a refused frame leaves it as it was', () => {
    const mailbox = new Mailbox()
    mailbox.append(frame(1, 2000), WINDOW)
    for (const refused of [frame(1), frame(3), frame(2, 2081)]) {
      expect(mailbox.append(refused, WINDOW)).not.toBe('stored')
      expect(mailbox.position).toEqual({ received: 1, acked: 0 })
      expect(mailbox.unackedCost).toBe(2008)
    }
  })

  test('an attacker who sends the smallest frames gets no more of them in than 256 bytes each allow', () => {
    const mailbox = new Mailbox()
    const attacker = () => mailbox.append(frame(mailbox.position.received + 1, 1), WINDOW)
    let stored = 0
    while (attacker() === 'stored') stored++
    expect(stored).toBe(WINDOW / 256)
  })

  test('gives back the very bytes it took, without copying them', () => {
    const mailbox = new Mailbox()
    const original = frame(1, 100)
    mailbox.append(original, WINDOW)
    expect(mailbox.read(0)?.bytes).toBe(original.bytes)
  })

  test('a window that was granted late holds for what is there already', () => {
    const mailbox = new Mailbox()
    mailbox.append(frame(1, 992), 1000)
    expect(mailbox.append(frame(2, 992), 1000)).toBe('full')
    expect(mailbox.append(frame(2, 992), 2000)).toBe('stored')
    expect(mailbox.append(frame(3, 1), 1000)).toBe('full')
  })

  test('a hundred thousand frames through a small window leave nothing behind', () => {
    const mailbox = new Mailbox()
    for (let seq = 1; seq <= 100_000; seq++) {
      mailbox.append(frame(seq), WINDOW)
      if (seq % 10 === 0) mailbox.ackThrough(seq - 3)
    }
    mailbox.ackThrough(100_000)
    expect(mailbox.unackedCost).toBe(0)
    expect(mailbox.position).toEqual({ received: 100_000, acked: 100_000 })
    expect(mailbox.read(0)).toBeUndefined()
  })
})
