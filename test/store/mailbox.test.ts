import { describe, expect, test } from 'vitest'
import { Mailbox } from '../../src/store/memory/mailbox.ts'

const WINDOW = 4096
const frame = (seq: number, ciphertextBytes = 1) => ({ seq, bytes: new Uint8Array(8 + ciphertextBytes).fill(seq) })

/** The rules for seqs, acks and windows are those of every store: test/store/contract.ts. */
describe('a mailbox', () => {
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
