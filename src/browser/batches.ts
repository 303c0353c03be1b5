const BATCH_BYTES = 1_048_576

/** Does something with a batch, and resolves with memory of the same size for the next: the same, where it has it back. */
type Take = (batch: Uint8Array<ArrayBuffer>) => Promise<ArrayBuffer>

/**
 * Hands over the same bytes in pieces of 1 MiB, but for the last, each when the one before is dealt with. All use the same
 * memory: a browser takes longer to find new memory than to fill it.
 */
export async function inBatches(pieces: AsyncIterable<Uint8Array>, take: Take): Promise<void> {
  let batch = new Uint8Array(BATCH_BYTES)
  let filled = 0
  for await (const piece of pieces) {
    for (let taken = 0; taken < piece.length; ) {
      const some = piece.subarray(taken, taken + BATCH_BYTES - filled)
      batch.set(some, filled)
      filled += some.length
      taken += some.length
      if (filled < BATCH_BYTES) continue
      batch = new Uint8Array(await take(batch))
      filled = 0
    }
  }
  if (filled > 0) await take(batch.subarray(0, filled))
}
