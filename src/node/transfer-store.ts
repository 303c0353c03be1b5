import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Transfers } from '../client/index.ts'
import * as form from '../protocol/forms.ts'
import { symbolsOf } from './local-paths.ts'
import { writePrivately } from './private-file.ts'

const ENTRIES_MAX = 64
const KEPT_MS = 30 * 24 * 60 * 60 * 1000
const FILE = /^[0-9a-z]{26}$/

const Stored = form.object({
  token: form.string(),
  keys: form.array(form.string(), Number.POSITIVE_INFINITY),
  at: form.integer(0),
})
type Stored = form.Infer<typeof Stored>

/**
 * Tokens of offers that were accepted and not confirmed: the newest 64, each for 30 days, in a folder that only its owner can
 * read. Each has a file of its own, so that processes that send at the same time do not lose each other's. A file that
 * cannot be read does not count. One that cannot be written is told of, and nothing is resumed then.
 */
export class TransferStore implements Transfers {
  readonly #folder: string
  readonly #onFailure: (error: NodeJS.ErrnoException) => void
  readonly #now: () => number

  constructor(folder: string, onFailure: (error: NodeJS.ErrnoException) => void, now = Date.now) {
    this.#folder = folder
    this.#onFailure = onFailure
    this.#now = now
  }

  async tokensOf(keys: readonly string[]): Promise<string[]> {
    const wanted = JSON.stringify(keys)
    const { kept } = await this.#read()
    return kept.flatMap((each) => (JSON.stringify(each.keys) === wanted ? [each.token] : []))
  }

  async put(token: string, keys: readonly string[]): Promise<void> {
    const stored: Stored = { token, keys: [...keys], at: this.#now() }
    try {
      await writePrivately(this.#pathOf(token), JSON.stringify(stored))
      const { forgotten } = await this.#read()
      for (const each of forgotten) await rm(this.#pathOf(each.token), { force: true })
    } catch (error) {
      this.#onFailure(error as NodeJS.ErrnoException)
    }
  }

  async remove(token: string): Promise<void> {
    await rm(this.#pathOf(token), { force: true }).catch(this.#onFailure)
  }

  #pathOf(token: string): string {
    return join(this.#folder, symbolsOf(token))
  }

  /** Those that count, the newest first, and those that do not any more. */
  async #read(): Promise<{ kept: Stored[]; forgotten: Stored[] }> {
    const stored: Stored[] = []
    const names = await readdir(this.#folder).catch(() => [])
    for (const name of names.filter((each) => FILE.test(each))) {
      const text = await readFile(join(this.#folder, name), 'utf8').catch(() => '')
      try {
        const { data } = Stored.safeParse(JSON.parse(text))
        if (data && symbolsOf(data.token) === name) stored.push(data)
      } catch {
        // A file of something else, or half of one.
      }
    }
    stored.sort((a, b) => b.at - a.at)
    const counts = (each: Stored, index: number) => index < ENTRIES_MAX && each.at > this.#now() - KEPT_MS
    return { kept: stored.filter(counts), forgotten: stored.filter((each, index) => !counts(each, index)) }
  }
}
