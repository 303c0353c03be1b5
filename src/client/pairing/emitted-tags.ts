import type { PairingCode } from '../../crypto/pairing-code.ts'
import { PairingError } from '../errors.ts'

/** Tags this device emits for one code, whatever happens in between. */
export const EMITTED_TAGS_MAX = 3

/** Where a device counts the tags it emits for a code, for longer than this process lives. Neither call rejects. */
export interface AttemptStore {
  /** Tags emitted so far for the code with this locator. */
  emitted(locator: string): Promise<number>
  /** Counts one more before it is emitted, and resolves with true, or with false where `max` were emitted. */
  take(locator: string, max: number, expiresInMs: number): Promise<boolean>
}

/** Tags emitted so far, per code. For the life of the process: a new code is the way out. */
const emittedTags = new Map<string, number>()

/** Throws PairingError when no tag may be emitted any more for this code. */
export async function requireTags(code: PairingCode, attempts: AttemptStore | undefined): Promise<void> {
  const emitted = Math.max(emittedTags.get(code.text) ?? 0, (await attempts?.emitted(code.locator)) ?? 0)
  if (emitted >= EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')
}

/** Counts a tag that is to be emitted, in one turn with the check: runs side by side share the budget. Throws PairingError. */
export async function countTag(code: PairingCode, attempts: AttemptStore | undefined, expiresInMs: number) {
  const emitted = (emittedTags.get(code.text) ?? 0) + 1
  if (emitted > EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')
  emittedTags.set(code.text, emitted)
  const isCounted = await attempts?.take(code.locator, EMITTED_TAGS_MAX, expiresInMs)
  if (isCounted === false) throw new PairingError('attempts_used_up')
}
