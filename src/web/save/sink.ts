import type { Partials } from '../../client/index.ts'
import type { Ready } from './things.ts'

/**
 * Where an offer is received. The `finish` of its partial runs before the receipt, and throws where something is not there:
 * the sender's "Delivered" says that it did not.
 */
export interface Sink extends Partials {
  /** The files to hand out, once it is finished. None where they have their place already. */
  files(): Promise<readonly Ready[]>
  /** Lets go of it. What is on the disk stays there. */
  release(): void
  /** Forgets it, with what is on the disk. */
  drop(): Promise<void>
}

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

/** There is no room. Browsers throw the same. */
export function noRoom(): DOMException {
  return new DOMException('there is no room for it', 'QuotaExceededError')
}
