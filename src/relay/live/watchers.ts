/** Who waits for something to change about a session, without a socket. */
export class Watchers {
  readonly #watchers = new Map<string, Set<() => void>>()

  /** Sessions that somebody waits for. */
  get size(): number {
    return this.#watchers.size
  }

  get sessionIds(): Iterable<string> {
    return this.#watchers.keys()
  }

  has(sessionId: string): boolean {
    return this.#watchers.has(sessionId)
  }

  /** Calls `wake` after each change of a session that this node hears of, until the function that comes back is called. */
  watch(sessionId: string, wake: () => void): () => void {
    const watchers = this.#watchers.get(sessionId) ?? new Set()
    this.#watchers.set(sessionId, watchers.add(wake))
    return () => {
      watchers.delete(wake)
      if (watchers.size === 0 && this.#watchers.get(sessionId) === watchers) this.#watchers.delete(sessionId)
    }
  }

  wake(sessionId: string): void {
    for (const wake of this.#watchers.get(sessionId) ?? []) wake()
  }
}
