import type { Transfers } from '../client/index.ts'
import type { FileWorker } from './file-worker.ts'
import { ROOT, readJson, rootFolder } from './folders.ts'

const FOLDER = 'sent'
const ENTRIES_MAX = 64
const LIVES_MS = 30 * 24 * 3_600_000

interface Sent {
  readonly token: string
  /** A digest: the names of files are not written down. */
  readonly what: string
  readonly at: number
}

/**
 * Tokens of what was accepted and not confirmed, in the browser's own storage: the newest 64, each for 30 days. Where there
 * is no such storage nothing is remembered, and nothing goes on.
 */
export class BrowserTransfers implements Transfers {
  readonly #files: FileWorker
  readonly #now: () => number

  constructor(files: FileWorker, now: () => number = Date.now) {
    this.#files = files
    this.#now = now
  }

  /** Tokens under which what has these keys was accepted before, the newest first. */
  async tokensOf(keys: readonly string[]): Promise<string[]> {
    try {
      const [all, wanted] = [await this.#all(), await digestOf(keys)]
      return all.filter(({ what }) => what === wanted).map(({ token }) => token)
    } catch {
      return []
    }
  }

  /** Keeps a token. Where it cannot be kept, nothing goes on later. */
  async put(token: string, keys: readonly string[]): Promise<void> {
    try {
      const sent: Sent = { token, what: await digestOf(keys), at: this.#now() }
      await this.#files.put(`${ROOT}/${FOLDER}`, token, JSON.stringify(sent))
      for (const old of (await this.#all()).slice(ENTRIES_MAX)) await this.remove(old.token)
    } catch {
      // Nothing goes on later, and it is sent all the same.
    }
  }

  /** Forgets a token. */
  async remove(token: string): Promise<void> {
    await (await folder())?.removeEntry(token).catch(() => {})
  }

  /** All that are not too old, the newest first. Deletes the others. */
  async #all(): Promise<Sent[]> {
    const all: Sent[] = []
    const sents = await folder()
    for await (const token of sents?.keys() ?? []) {
      const sent = sents && (await readJson<Sent>(sents, token))
      if (sent && this.#now() - sent.at <= LIVES_MS) all.push({ ...sent, token })
      else await this.remove(token)
    }
    return all.sort((a, b) => b.at - a.at)
  }
}

async function folder(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    return await (await rootFolder()).getDirectoryHandle(FOLDER)
  } catch {
    return undefined
  }
}

async function digestOf(keys: readonly string[]): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(JSON.stringify(keys)))
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
