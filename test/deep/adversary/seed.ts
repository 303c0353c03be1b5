import { createCipheriv, createHash } from 'node:crypto'

/** ADVERSARY_SEED looks at other runs; the one that was used is printed with every result. */
export const SEED = process.env.ADVERSARY_SEED ?? 'pairlay'

/** Randomness good enough for keys and statistics, and the same for the same name: AES-256-CTR over zeros. */
export class Seed {
  readonly name: string
  readonly #stream: ReturnType<typeof createCipheriv>

  constructor(...names: readonly (string | number)[]) {
    this.name = [SEED, ...names].join('/')
    const key = createHash('sha256').update(this.name).digest()
    this.#stream = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  }

  bytes(length: number): Uint8Array {
    // A copy: its owner overwrites it, and a Buffer's slice would not be one.
    return new Uint8Array(this.#stream.update(Buffer.alloc(length)))
  }

  /** A number from 0 up to `limit`. */
  below(limit: number): number {
    return Number(Buffer.from(this.bytes(6)).readUIntBE(0, 6) % limit)
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('nothing to pick from')
    return list[this.below(list.length)]
  }
}
