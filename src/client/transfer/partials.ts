import type { List } from '../list.ts'
import { Signal } from '../signal.ts'
import type { Entry } from './entries.ts'
import type { AcceptOptions, IncomingItem } from './incoming-item.ts'
import type { IncomingOffer } from './incoming-offer.ts'
import { SMALL_AT_ONCE, SMALL_BYTES } from './read-ahead.ts'

/** Where offers are saved so that an interrupted one can go on in a later session: a folder, the browser's file system. */
export interface Partials<P extends Partial = Partial> {
  /** Tokens of the transfers that were begun here and did not end. */
  tokens(): Promise<readonly string[]>
  /** The partial of a transfer, made if it is not there. Takes the entries' places in the order of `entries`. */
  open(token: string, entries: List<Entry>): Promise<P>
}

/** A transfer that is not complete. */
export interface Partial {
  /** Entries of which something is there, and how many of their first bytes. */
  readonly have: Iterable<readonly [entry: number, bytes: number]>
  /** The first `bytes` of an entry. */
  read(entry: number, bytes: number): AsyncIterable<Uint8Array>
  /**
   * Takes an entry's bytes from `offset` on; what is there beyond it is dropped. Up to 16 small entries are written at the
   * same time.
   */
  write(entry: number, offset: number, pieces: AsyncIterable<Uint8Array>): Promise<void>
  /** Everything is there but the entries that were `skipped`: gives it its final name. */
  finish(skipped: readonly number[]): Promise<void>
  /** Ends the work on it, for now or for good. */
  leave(): Promise<void>
}

/** Options of `save`. */
export interface SaveOptions extends Omit<AcceptOptions, 'begun' | 'beforeReceipt'> {
  /** Called when every byte is here, before everything gets its final name. */
  readonly onSaving?: (() => void) | undefined
}

/**
 * Accepts an offer and saves it, going on where an earlier session was cut. Resolves with what the store has made of it. Throws
 * as `IncomingOffer.accept`, and what the store throws; the offerer hears of either.
 */
export async function save<P extends Partial>(
  offer: IncomingOffer,
  partials: Partials<P>,
  { onSaving, ...options }: SaveOptions = {},
): Promise<P> {
  const stop = (error: unknown): never => {
    offer.stop(isFull(error) ? 'no_space' : 'failed')
    throw error
  }
  const known = offer.resumes(await partials.tokens().catch(stop))
  const partial = await partials.open(known ?? offer.token, offer.entries).catch(stop)
  const read = (entry: number, bytes: number) => partial.read(entry, bytes)
  const begun = known === undefined ? undefined : { token: known, have: partial.have, read }
  const writing = new Writing()
  const write = (item: IncomingItem, pieces: AsyncIterable<Uint8Array>) =>
    partial.write(item.index, item.offset, pieces).catch(stop)
  const beforeReceipt = async () => {
    await writing.ended()
    onSaving?.()
    await partial.finish([...offer.skipped.keys()]).catch(stop)
  }
  try {
    for await (const item of offer.accept({ ...options, begun, beforeReceipt })) {
      if (item.dir) continue
      const pieces = item.pieces()
      if (item.size === undefined || item.size > SMALL_BYTES) await write(item, pieces)
      else await writing.begin(write(item, await held(pieces)))
    }
    return partial
  } catch (error) {
    // An offer that was stopped because one could not be written ends with another error.
    await writing.ended()
    throw error
  } finally {
    await partial.leave()
  }
}

/** Writes of small files that run at the same time, up to 16. */
class Writing {
  #running = 0
  readonly #ended = new Signal()
  readonly #failures: unknown[] = []

  /** Resolves when there is room for another. Throws what one of them has thrown. */
  async begin(write: Promise<void>): Promise<void> {
    this.#running++
    void this.#watch(write)
    await this.#atMost(SMALL_AT_ONCE - 1)
  }

  /** Resolves when none runs. Throws what one of them has thrown. */
  async ended(): Promise<void> {
    await this.#atMost(0)
  }

  async #watch(write: Promise<void>): Promise<void> {
    await write.catch((error) => void this.#failures.push(error))
    this.#running--
    this.#ended.fire()
  }

  async #atMost(most: number): Promise<void> {
    while (this.#running > most) await this.#ended.next()
    if (this.#failures.length > 0) throw this.#failures[0]
  }
}

/** All pieces, once they are here. */
async function held(pieces: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const all: Uint8Array[] = []
  for await (const piece of pieces) all.push(piece)
  return inTurn(all)
}

async function* inTurn(all: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const piece of all) yield piece
}

/** Reports whether a store said that it has no room. */
function isFull(error: unknown): boolean {
  const { code, name } = Object(error)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' || name === 'QuotaExceededError'
}
