import { readFile } from 'node:fs/promises'
import * as z from 'zod/mini'
import type { Transfers } from '../client/index.ts'
import { writePrivately } from './private-file.ts'

const ENTRIES_MAX = 64
const KEPT_MS = 30 * 24 * 60 * 60 * 1000

const Stored = z.array(z.object({ token: z.string(), keys: z.array(z.string()), at: z.number() }))
type Stored = z.infer<typeof Stored>

/**
 * Tokens of offers that were accepted and not confirmed, in one file that only its owner can read: the newest 64, each for
 * 30 days. A file that cannot be read counts as empty. One that cannot be written is told of, and nothing is resumed then.
 */
export class TransferStore implements Transfers {
  readonly #path: string
  readonly #onFailure: (error: NodeJS.ErrnoException) => void
  readonly #now: () => number
  /** Changes, one after the other. */
  #changing: Promise<void> = Promise.resolve()

  constructor(path: string, onFailure: (error: NodeJS.ErrnoException) => void, now = Date.now) {
    this.#path = path
    this.#onFailure = onFailure
    this.#now = now
  }

  async tokensOf(keys: readonly string[]): Promise<string[]> {
    const wanted = JSON.stringify(keys)
    const stored = await this.#read()
    return stored.flatMap((each) => (JSON.stringify(each.keys) === wanted ? [each.token] : []))
  }

  put(token: string, keys: readonly string[]): Promise<void> {
    return this.#change((others) => [{ token, keys: [...keys], at: this.#now() }, ...others], token)
  }

  remove(token: string): Promise<void> {
    return this.#change((others) => others, token)
  }

  /** Changes what is stored beside this token. */
  #change(changed: (others: Stored) => Stored, token: string): Promise<void> {
    this.#changing = this.#changing
      .then(async () => {
        const others = (await this.#read()).filter((each) => each.token !== token)
        await writePrivately(this.#path, JSON.stringify(changed(others).slice(0, ENTRIES_MAX)))
      })
      .catch(this.#onFailure)
    return this.#changing
  }

  /** The newest first. */
  async #read(): Promise<Stored> {
    const text = await readFile(this.#path, 'utf8').catch(() => '[]')
    try {
      const stored = Stored.parse(JSON.parse(text))
      return stored.filter(({ at }) => at > this.#now() - KEPT_MS)
    } catch {
      return []
    }
  }
}
