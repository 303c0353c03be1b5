import { createHash } from 'node:crypto'
import { mkdir, readdir, stat, unlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import type { AttemptStore } from '../client/index.ts'
import { shown } from '../node/shown.ts'
import { TTL_MAX_SECONDS } from '../protocol/limits.ts'
import { reasonOf } from './files.ts'
import type { Terminal } from './terminal.ts'

/** No code lives longer. What a relay says of its life does not count: it could make this device forget. */
const KEPT_MS = TTL_MAX_SECONDS * 1000

/** Where this user's state is: a folder of Pairlay's own. */
export function stateFolder(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_STATE_HOME: given } = env
  return join(given && isAbsolute(given) ? given : join(homedir(), '.local', 'state'), 'pairlay')
}

/**
 * How often this device has tried each code, in a folder, for all processes of its user. A try is an empty file: its name
 * has a digest of the code's locator and a number, its age says when it may be forgotten. The file system gives out each
 * number once, whoever asks at the same time. Where nothing can be kept, that is told once, and nothing is counted here.
 */
export class Attempts implements AttemptStore {
  readonly #given: string | undefined
  readonly #terminal: Pick<Terminal, 'say'>
  readonly #now: () => number
  #told = false

  constructor(terminal: Pick<Terminal, 'say'>, folder?: string, now = Date.now) {
    this.#terminal = terminal
    this.#given = folder
    this.#now = now
  }

  /** Throws for a user who has no home folder, so only where that may happen. */
  get #folder(): string {
    return this.#given ?? join(stateFolder(), 'tries')
  }

  /** How many tries of the code with this locator are known. */
  async emitted(locator: string): Promise<number> {
    const names = await this.#current().catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? [] : this.#cannot(error, []),
    )
    return names.filter((name) => name.startsWith(digestOf(locator))).length
  }

  /** Counts a try, before it is made. False when there were `max` of them. */
  async take(locator: string, max: number): Promise<boolean> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 })
      await this.#current()
      for (let n = 1; n <= max; n++) if (await this.#claim(`${digestOf(locator)}-${n}`)) return true
      return false
    } catch (error) {
      return this.#cannot(error as NodeJS.ErrnoException, true)
    }
  }

  async #claim(name: string): Promise<boolean> {
    try {
      await writeFile(join(this.#folder, name), '', { flag: 'wx', mode: 0o600 })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
  }

  /** The names of the tries that count; the others are removed. */
  async #current(): Promise<string[]> {
    const current: string[] = []
    for (const name of (await readdir(this.#folder)).filter((each) => /^[0-9a-f]{32}-\d$/.test(each))) {
      const path = join(this.#folder, name)
      const made = await stat(path).catch(() => undefined)
      if (made && Math.abs(this.#now() - made.mtimeMs) < KEPT_MS) current.push(name)
      // Another process may have removed it, or may not let this one.
      else await unlink(path).catch(() => {})
    }
    return current
  }

  #cannot<T>(error: NodeJS.ErrnoException, instead: T): T {
    const where = error.path === undefined ? '' : `${shown(this.#folder)}: `
    if (!this.#told) this.#terminal.say(`Tries are counted for this run only: ${where}${reasonOf(error)}.`)
    this.#told = true
    return instead
  }
}

function digestOf(locator: string): string {
  return createHash('sha256').update(locator).digest('hex').slice(0, 32)
}
