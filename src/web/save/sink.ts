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

/** There is no room. Browsers throw the same. */
export function noRoom(): DOMException {
  return new DOMException('', 'QuotaExceededError')
}
