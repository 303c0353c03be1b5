import { ROOT, rootFolder } from './folders.ts'
import type { Answer, Question } from './serve-files.ts'
import { storageError } from './storage-error.ts'

/** Name of the error where the worker does not run. */
const BROKEN = 'NotSupportedError'

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: unknown) => void
}

/** Files in the browser's own storage, written by a worker, one question after the other. */
export class FileWorker {
  readonly #make: () => Worker
  readonly #waiting = new Map<number, Waiting>()
  #worker: Worker | undefined
  #ids = 0
  #isBroken = false

  /**
   * Makes the worker when it is first needed, with `() => new Worker(url, { type: 'module' })`. The URL is that of
   * `pairlay/browser/worker`, or of a script of the app's own that calls `serveFiles`.
   */
  constructor(make: () => Worker) {
    this.#make = make
  }

  /** Opens a file for bytes from `at` on, and drops those that it has beyond. Resolves with its number. */
  open(folder: string, name: string, at: number, hasChecksum: boolean): Promise<number> {
    return this.#ask({ ask: 'open', folder, name, at, hasChecksum })
  }

  /**
   * Resolves when they are written, with their memory, which the worker has until then. Throws QuotaExceededError if they are
   * not all there.
   */
  write(file: number, bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
    return this.#ask({ ask: 'write', file, bytes }, [bytes.buffer])
  }

  /**
   * Flushes and closes a file. Resolves with its checksum if that was wanted. Throws if its size is not that of what was
   * written.
   */
  close(file: number): Promise<number> {
    return this.#ask({ ask: 'close', file })
  }

  /** Writes a whole small file. */
  async put(folder: string, name: string, text: string): Promise<void> {
    await this.#ask({ ask: 'put', folder, name, bytes: new TextEncoder().encode(text) })
  }

  #ask<T>(question: Question, transfer: Transferable[] = []): Promise<T> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    return new Promise((resolve, reject) => {
      if (this.#isBroken) return reject(storageError(BROKEN))
      const id = ++this.#ids
      this.#waiting.set(id, { resolve, reject })
      worker.postMessage({ id, question }, transfer)
    })
  }

  #start(): Worker {
    const worker = this.#make()
    worker.onmessage = ({ data: { id, answer } }: MessageEvent<{ id: number; answer: Answer }>) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if ('error' in answer) waiting?.reject(storageError(answer.error))
      else waiting?.resolve(answer.value as never)
    }
    worker.onerror = () => {
      this.#isBroken = true
      for (const { reject } of this.#waiting.values()) reject(storageError(BROKEN))
      this.#waiting.clear()
    }
    return worker
  }
}

/**
 * Bytes that are free in the browser's storage, as it says. Undefined where files cannot be kept, which a page without TLS and
 * some private windows cannot: it is tried with a small one.
 */
export async function freeRoom(files: FileWorker): Promise<number | undefined> {
  try {
    const root = await rootFolder(true)
    const { quota = 0, usage = 0 } = await navigator.storage.estimate()
    // No token has a dot: nobody takes it for a transfer.
    const name = `try.${crypto.randomUUID()}`
    await files.put(ROOT, name, 'x')
    await root.removeEntry(name)
    return Math.max(0, quota - usage)
  } catch {
    return undefined
  }
}
