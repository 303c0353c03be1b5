import type {
  AckOutcome,
  AppendOutcome,
  MailboxKey,
  MailboxPosition,
  MailboxStore,
  StoredFrame,
} from '../../relay/ports.ts'
import { Mailbox } from './mailbox.ts'

/** Mailboxes in one process's memory. */
export class MemoryMailboxStore implements MailboxStore {
  readonly #mailboxes = new Map<MailboxKey, Mailbox>()

  get size(): number {
    return this.#mailboxes.size
  }

  /** The cost of all frames held, in bytes. */
  get unackedCost(): number {
    let sum = 0
    for (const mailbox of this.#mailboxes.values()) sum += mailbox.unackedCost
    return sum
  }

  open(key: MailboxKey, floor: number): { created: boolean; position: MailboxPosition } {
    const existing = this.#mailboxes.get(key)
    if (existing) return { created: false, position: existing.position }
    const mailbox = new Mailbox(floor)
    this.#mailboxes.set(key, mailbox)
    return { created: true, position: mailbox.position }
  }

  append(key: MailboxKey, frame: StoredFrame, window: number): AppendOutcome {
    const mailbox = this.#mailboxes.get(key)
    if (!mailbox) return { kind: 'unknown' }
    const kind = mailbox.append(frame, window)
    return { kind, position: mailbox.position, unackedCost: mailbox.unackedCost }
  }

  ackThrough(key: MailboxKey, seq: number): AckOutcome {
    const mailbox = this.#mailboxes.get(key)
    if (!mailbox) return { kind: 'unknown' }
    return { kind: mailbox.ackThrough(seq), position: mailbox.position }
  }

  read(key: MailboxKey, after: number): StoredFrame | undefined {
    return this.#mailboxes.get(key)?.read(after)
  }

  position(key: MailboxKey): MailboxPosition | undefined {
    return this.#mailboxes.get(key)?.position
  }

  drop(keys: readonly MailboxKey[]): void {
    for (const key of keys) this.#mailboxes.delete(key)
  }
}
