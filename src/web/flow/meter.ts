/** A rate over the last few seconds. */
export class Meter {
  readonly #marks: { readonly at: number; readonly bytes: number }[] = []

  /** Bytes a second, once there is something to say. */
  rate(bytes: number): number | undefined {
    const at = performance.now()
    this.#marks.push({ at, bytes })
    while (this.#marks.length > 2 && at - (this.#marks[0]?.at ?? at) > 5_000) this.#marks.shift()
    const [first] = this.#marks
    return first && at - first.at > 500 ? ((bytes - first.bytes) * 1000) / (at - first.at) : undefined
  }
}
