const BATCH_BYTES = 1_048_576

/** The same bytes in pieces of 1 MiB, but for the last. Each has a buffer of its own. */
export async function* batches(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let batch = new Uint8Array(BATCH_BYTES)
  let filled = 0
  for await (const piece of pieces) {
    for (let taken = 0; taken < piece.length; ) {
      const some = piece.subarray(taken, taken + BATCH_BYTES - filled)
      batch.set(some, filled)
      filled += some.length
      taken += some.length
      if (filled < BATCH_BYTES) continue
      yield batch
      batch = new Uint8Array(BATCH_BYTES)
      filled = 0
    }
  }
  if (filled > 0) yield batch.slice(0, filled)
}
