import type { Answer, Question } from './worker.ts'
import workerUrl from './worker.ts?worker&url'

/** Types that the browser's library does not have yet. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string }
}

const { trustedTypes } = globalThis as unknown as { trustedTypes?: TrustedTypes }

/** Gives out one address, that of the worker. The page's policy takes scripts from no other source. */
const policy = trustedTypes?.createPolicy('pairlay', {
  createScriptURL: (url) => {
    if (url !== workerUrl) throw new TypeError('this is not the worker')
    return url
  },
})

/** Files in the browser's own storage, written by a worker, one question after the other. */
export class Disk {
  readonly #worker: Worker
  readonly #waiting = new Map<number, PromiseWithResolvers<number>>()
  #ids = 0
  #isBroken = false

  constructor() {
    this.#worker = new Worker(policy?.createScriptURL(workerUrl) ?? workerUrl, { type: 'module' })
    this.#worker.onmessage = ({ data: { id, answer } }: MessageEvent<{ id: number; answer: Answer }>) => {
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if ('error' in answer) waiting?.reject(new DOMException(answer.error, answer.error))
      else waiting?.resolve(answer.value)
    }
    this.#worker.onerror = () => {
      this.#isBroken = true
      for (const { reject } of this.#waiting.values()) reject(new DOMException('', 'NotSupportedError'))
      this.#waiting.clear()
    }
  }

  /** Opens a file for bytes from `at` on, and drops those that it has beyond. Resolves with its number. */
  open(folder: string, name: string, at: number, hasCrc: boolean): Promise<number> {
    return this.#ask({ ask: 'open', folder, name, at, hasCrc })
  }

  /** Resolves when they are written. Throws QuotaExceededError if they are not all there. The bytes are given away. */
  async write(file: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#ask({ ask: 'write', file, bytes }, [bytes.buffer])
  }

  /** Flushes and closes a file. Resolves with its CRC-32 if that was wanted. Throws if its size is not that of what was written. */
  close(file: number): Promise<number> {
    return this.#ask({ ask: 'close', file })
  }

  /** Writes a whole small file. */
  async put(folder: string, name: string, text: string): Promise<void> {
    await this.#ask({ ask: 'put', folder, name, bytes: new TextEncoder().encode(text) })
  }

  #ask(question: Question, transfer: Transferable[] = []): Promise<number> {
    if (this.#isBroken) return Promise.reject(new DOMException('', 'NotSupportedError'))
    const waiting = withResolvers<number>()
    const id = ++this.#ids
    this.#waiting.set(id, waiting)
    this.#worker.postMessage({ id, question }, transfer)
    return waiting.promise
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

function withResolvers<T>(): PromiseWithResolvers<T> {
  let [resolve, reject]: [(value: T) => void, (error: unknown) => void] = [() => {}, () => {}]
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
