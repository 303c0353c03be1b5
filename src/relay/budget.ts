import type { MailboxKey } from './ports.ts'

/**
 * The bytes this node has promised to hold: each direction of each live channel has a grant, and their sum never exceeds
 * the limit. A grant is only ever raised, until its channel ends. That is why memory is known and no socket is paused.
 */
export class Budget {
  readonly #limit: number
  readonly #grants = new Map<MailboxKey, number>()
  #granted = 0
  #reserved = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The sum of all grants, in bytes. */
  get granted(): number {
    return this.#granted
  }

  /** Mailboxes with a grant. */
  get size(): number {
    return this.#grants.size
  }

  grantOf(key: MailboxKey): number {
    return this.#grants.get(key) ?? 0
  }

  /** Raises each key's grant to at least `bytes`: all of them, or none and false when the sum would pass the limit. */
  raise(keys: readonly MailboxKey[], bytes: number): boolean {
    const more = this.missing(keys, bytes)
    if (this.#granted + this.#reserved + more > this.#limit) return false
    for (const key of keys) this.#grants.set(key, Math.max(bytes, this.grantOf(key)))
    this.#granted += more
    return true
  }

  /** How many bytes it would take to raise each key's grant to `bytes`. */
  missing(keys: readonly MailboxKey[], bytes: number): number {
    let more = 0
    for (const key of keys) more += Math.max(0, bytes - this.grantOf(key))
    return more
  }

  /** Sets bytes aside for a grant whose key is not known yet; false when there is no room. Undone by `unreserve`. */
  reserve(bytes: number): boolean {
    if (this.#granted + this.#reserved + bytes > this.#limit) return false
    this.#reserved += bytes
    return true
  }

  unreserve(bytes: number): void {
    this.#reserved -= bytes
  }

  release(key: MailboxKey): void {
    this.#granted -= this.grantOf(key)
    this.#grants.delete(key)
  }
}
