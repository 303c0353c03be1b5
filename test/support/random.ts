/** ABUSE_SEED looks at other runs, ABUSE_RUNS=10 at ten times as many. Tests print the seed they used. */
export const SEED = process.env.ABUSE_SEED ?? 'pairlay'
export const FACTOR = Number(process.env.ABUSE_RUNS ?? 1)

/** Randomness for choosing inputs, fast and the same for the same name: sfc32 over a hash of the seed and the name. */
export class Random {
  readonly name: string
  #a = 0x9e3779b9
  #b = 0x243f6a88
  #c = 0xb7e15162
  #counter = 1

  constructor(...names: readonly (string | number)[]) {
    this.name = [SEED, ...names].join('/')
    for (const byte of Buffer.from(this.name)) {
      this.#a ^= byte
      this.#next()
    }
    for (let i = 0; i < 12; i++) this.#next()
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#counter++) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** A whole number from 0 up to `limit`. */
  below(limit: number): number {
    return Math.floor((this.#next() / 0x1_0000_0000) * limit)
  }

  /** A whole number, both ends included. */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1)
  }

  chance(probability: number): boolean {
    return this.#next() / 0x1_0000_0000 < probability
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from')
    return list[this.below(list.length)]
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.#next()
    return bytes
  }

  /** The same things in another order. */
  shuffled<T>(list: readonly T[]): T[] {
    const out = [...list]
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const [x, y] = [out[i], out[j]]
      out[i] = y
      out[j] = x
    }
    return out
  }

  /** Characters of base64url, so many of them. */
  word(length: number): string {
    return this.bytes(length).toString('base64url').slice(0, length)
  }
}
