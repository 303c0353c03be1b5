/** How often progress is told, in milliseconds: nobody reads faster, and each time the screen is made anew. */
const BETWEEN_MS = 250
/** Span that a rate is taken over, in milliseconds. */
const RATE_MS = 5_000

/** Tells how much is done, and at how many bytes a second, once there is something to say of that. */
export class Meter {
  readonly #tell: (done: number, perSecond: number | undefined) => void
  readonly #marks: { readonly at: number; readonly bytes: number }[] = []
  #toldAt = Number.NEGATIVE_INFINITY
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(tell: (done: number, perSecond: number | undefined) => void) {
    this.#tell = tell
  }

  /** So many bytes are done. The last number is told as well, unless `stop` comes before. */
  report(bytes: number): void {
    clearTimeout(this.#timer)
    const at = performance.now()
    const wait = this.#toldAt + BETWEEN_MS - at
    if (wait > 0) {
      this.#timer = setTimeout(() => this.report(bytes), wait)
      return
    }
    this.#toldAt = at
    this.#tell(bytes, this.#rate(at, bytes))
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #rate(at: number, bytes: number): number | undefined {
    this.#marks.push({ at, bytes })
    while (this.#marks.length > 2 && at - (this.#marks[0]?.at ?? at) > RATE_MS) this.#marks.shift()
    const [first] = this.#marks
    return first && at - first.at > 500 ? ((bytes - first.bytes) * 1000) / (at - first.at) : undefined
  }
}
