/** Made-up content, the same bytes in Node and in a page. */
export interface Content {
  readonly bytes: number
  /** Contents of different seeds differ. Not 0. */
  readonly seed: number
}

const BLOCK_BYTES = 256 * 1024

/** The content, block by block. It never repeats, so that a block lost, doubled or moved changes its digest. */
export function* blocksOf({ bytes, seed }: Content): Generator<Uint8Array<ArrayBuffer>, void> {
  let state = seed
  for (let left = bytes; left > 0; left -= BLOCK_BYTES) {
    const words = new Uint32Array(BLOCK_BYTES / 4)
    for (let i = 0; i < words.length; i++) {
      state ^= state << 13
      state ^= state >>> 17
      state ^= state << 5
      words[i] = state
    }
    yield new Uint8Array(words.buffer, 0, Math.min(left, BLOCK_BYTES))
  }
}
