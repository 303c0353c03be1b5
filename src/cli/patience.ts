/** The time in which something has to happen, for a person or a script that will not wait for ever. */
export class Patience {
  /** Its length, or undefined where there is no end to it. */
  readonly seconds: number | undefined
  /** Resolves when nothing has happened for so long. */
  readonly ended: Promise<void>
  readonly #timer: NodeJS.Timeout | undefined
  #isOver = false

  constructor(seconds: number | undefined) {
    this.seconds = seconds
    let end = () => {}
    this.ended = new Promise((resolve) => {
      end = resolve
    })
    if (seconds === undefined) return
    this.#timer = setTimeout(() => {
      this.#isOver = true
      end()
    }, seconds * 1000)
  }

  /** Something has happened: the time begins anew. */
  readonly renew = (): void => {
    if (!this.#isOver) this.#timer?.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  /** Resolves as `work` does. When the time is over, `leave` has to end that work, and the outcome is that of `late`. */
  async within<T>(work: Promise<T>, leave: () => Promise<void>, late: () => T): Promise<T> {
    try {
      await Promise.race([work, this.ended])
    } catch {
      // `work` says it again.
    } finally {
      this.stop()
    }
    if (!this.#isOver) return work
    work.catch(() => {})
    try {
      return late()
    } finally {
      await leave()
    }
  }
}
