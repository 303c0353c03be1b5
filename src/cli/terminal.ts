import { closeSync, openSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import { ReadStream } from 'node:tty'

/**
 * The person at the terminal: lines to stderr, answers from stdin, or from /dev/tty when stdin carries data. With `json`
 * the lines for people are replaced by events on stdout, one JSON object a line.
 */
export class Terminal {
  readonly #json: boolean
  readonly #answersFromTty: boolean
  #lines: Interface | undefined
  readonly #unread: string[] = []
  #waiting: ((line: string | undefined) => void) | undefined
  #inputEnded = false
  #progressLines = 0

  constructor(options: { json: boolean; stdinIsData: boolean }) {
    this.#json = options.json
    this.#answersFromTty = options.stdinIsData
  }

  get json(): boolean {
    return this.#json
  }

  /** Whether a person sees stderr, so that lines may be rewritten. */
  get interactive(): boolean {
    return process.stderr.isTTY === true && !this.#json
  }

  /** A line for people. Strings from elsewhere must be clean already. */
  say(line: string): void {
    if (this.#json) return
    this.#clearProgress()
    process.stderr.write(`${line}\n`)
  }

  /** An event for programs. */
  event(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    if (this.#json) process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`)
  }

  /** Lines that the next call overwrites. Only to be used when `interactive`. */
  progress(lines: readonly string[]): void {
    this.#clearProgress()
    const width = Math.max(20, (process.stderr.columns ?? 80) - 1)
    for (const line of lines) process.stderr.write(`${line.slice(0, width)}\n`)
    this.#progressLines = lines.length
  }

  /** Leaves the progress lines as they stand. */
  keepProgress(): void {
    this.#progressLines = 0
  }

  /** Asks, and resolves with the answer, or with undefined when there is nobody to answer or the question was withdrawn. */
  ask(question: string, signal?: AbortSignal): Promise<string | undefined> {
    this.#open()
    if (!this.#json) {
      this.#clearProgress()
      process.stderr.write(question)
    }
    const line = this.#unread.shift()
    if (line !== undefined || this.#inputEnded) return Promise.resolve(line?.trim())
    return new Promise((resolve) => {
      this.#waiting = (answer) => resolve(answer?.trim())
      signal?.addEventListener('abort', () => {
        this.#waiting = undefined
        if (!this.#json) process.stderr.write('\n')
        resolve(undefined)
      })
    })
  }

  close(): void {
    this.#lines?.close()
    this.#lines = undefined
  }

  #open(): void {
    if (this.#lines || this.#inputEnded) return
    const input = this.#answersFromTty ? openTty() : process.stdin
    if (!input) {
      this.#inputEnded = true
      return
    }
    // Echo and editing stay with the terminal's own line discipline: nothing is written that was not asked for.
    this.#lines = createInterface({ input, terminal: false })
    this.#lines.on('line', (line) => {
      const waiting = this.#waiting
      this.#waiting = undefined
      if (waiting) waiting(line)
      else this.#unread.push(line)
    })
    this.#lines.on('close', () => {
      this.#inputEnded = true
      this.#waiting?.(undefined)
      this.#waiting = undefined
    })
  }

  #clearProgress(): void {
    if (this.#progressLines > 0) process.stderr.write(`\u001b[${this.#progressLines}A\u001b[J`)
    this.#progressLines = 0
  }
}

function openTty(): ReadStream | undefined {
  try {
    const fd = openSync('/dev/tty', 'r')
    try {
      return new ReadStream(fd)
    } catch {
      closeSync(fd)
      return undefined
    }
  } catch {
    return undefined
  }
}
