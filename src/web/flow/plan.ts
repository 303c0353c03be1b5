/** Up to here what is received is held in memory in every browser: nothing of it touches the disk before it is saved. */
export const MEMORY_SMALL_BYTES = 64_000_000
/** The most that is held in memory. */
export const MEMORY_MAX_BYTES = 256_000_000
/** The room that storage needs, for each byte of an offer. */
const ROOM_PER_BYTE = 1.02

/** Ways to save, found by trying them. */
export interface Capabilities {
  /** The person can choose a place, and it is written there. */
  readonly picks: boolean
  /** Free bytes of the browser's own storage, as it says. Undefined where files cannot be kept there. */
  readonly room: number | undefined
}

/** Where an offer is received: `memory` of the page, `keep` in the browser's storage, `pick` at a place that is chosen. */
export type Plan =
  | { readonly is: 'memory' | 'keep' | 'pick' }
  /** No place takes it: `max` bytes are the most that one would. */
  | { readonly is: 'none'; readonly max: number }

/**
 * Chooses where an offer is received: the first way that fits. `total` is undefined for a pipe; `items` are the files that come
 * of it, a folder being one.
 */
export function plan(total: number | undefined, items: number, { picks, room }: Capabilities): Plan {
  const canPick = picks && items === 1
  if (total === undefined) {
    if (canPick) return { is: 'pick' }
    return { is: room !== undefined && room > MEMORY_MAX_BYTES ? 'keep' : 'memory' }
  }
  if (total <= MEMORY_SMALL_BYTES) return { is: 'memory' }
  // Kept files survive the page, and an interrupted transfer goes on from them.
  if (room !== undefined && room > total * ROOM_PER_BYTE) return { is: 'keep' }
  if (canPick) return { is: 'pick' }
  if (total <= MEMORY_MAX_BYTES) return { is: 'memory' }
  return { is: 'none', max: Math.max(MEMORY_MAX_BYTES, Math.floor((room ?? 0) / ROOM_PER_BYTE)) }
}
