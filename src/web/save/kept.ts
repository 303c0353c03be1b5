import { type BrowserPartial, BrowserPartials } from '../../browser/index.ts'
import type { Entry, List, Partial } from '../../client/index.ts'
import { DISK } from './disk.ts'
import type { Sink } from './sink.ts'
import { hasArchives, type Ready, readyFiles } from './things.ts'

/** All that the browser's own storage keeps for the page. */
export const KEPT = new BrowserPartials(DISK, { hasChecksums: hasArchives })

/** Keeps an offer in the browser's own storage. It survives the page, and goes on where it was cut. */
export class KeptSink implements Sink {
  #partial: BrowserPartial | undefined

  tokens(): Promise<string[]> {
    return KEPT.tokens()
  }

  async open(token: string, entries: List<Entry>): Promise<Partial> {
    this.#partial = await KEPT.open(token, entries)
    return this.#partial
  }

  /** Has to be opened before. */
  async files(): Promise<Ready[]> {
    return readyFiles(await (this.#partial as BrowserPartial).received())
  }

  release(): void {
    this.#partial?.release()
  }

  /** Marks it as not wanted any more: it is deleted by `drop`, or at the next visit. */
  async giveUp(): Promise<void> {
    await this.#partial?.giveUp()
  }

  async drop(): Promise<void> {
    await this.#partial?.remove()
  }
}
