import { closeSync, fstatSync, openSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import { ReadStream } from 'node:tty'
import { type EventFields, type EventName, type QuestionKind, writeEvent } from './events.ts'
import { wrapped } from './format.ts'

/**
 * The person at the terminal: lines to stderr, answers from stdin, or from /dev/tty when stdin carries data. With `json`
 * the lines for people are replaced by events on stdout, one JSON object a line.
 */
export class Terminal {
  readonly json: boolean
  readonly #answersFromTty: boolean
  #lines: Interface | undefined
  readonly #unread: string[] = []
  /** Called when a line has come, or the end. */
  #heard: (() => void) | undefined
  #waiting: ((line: string | undefined) => void) | undefined
  #inputEnded = false
  #echoes = false
  /** The open question. */
  #question: string | undefined
  #progressLines = 0

  constructor(options: { json: boolean; stdinIsData: boolean }) {
    this.json = options.json
    this.#answersFromTty = options.stdinIsData
  }

  /** Reports whether a person sees stderr at a terminal that rewrites lines. */
  get interactive(): boolean {
    return process.stderr.isTTY === true && process.env.TERM !== 'dumb' && !this.json
  }

  /** Reports whether questions go to a person, who can be asked again. */
  get attended(): boolean {
    return this.#answersFromTty || process.stdin.isTTY === true
  }

  /** Reports whether somebody can answer: a person, or a pipe that has a line or does not end within so many milliseconds. */
  async answerable(pipeMs: number): Promise<boolean> {
    this.listen()
    if (!this.#inputEnded && this.#unread.length === 0 && !this.#echoes) {
      const heard = new Promise<void>((resolve) => {
        this.#heard = resolve
      })
      // A file, and /dev/null too, end for certain; a pipe may have a patient writer.
      const timer = endsForCertain() ? undefined : setTimeout(() => this.#heard?.(), pipeMs)
      await heard
      clearTimeout(timer)
    }
    return !this.#inputEnded || this.#unread.length > 0
  }

  /** How often progress is shown, in milliseconds: drawn at a terminal, or as a line in a log. */
  get progressEveryMs(): number {
    return this.interactive ? 200 : 5_000
  }

  /** A line for people, before the question that is open. Strings from elsewhere must be clean already. */
  say(line: string): void {
    if (this.json) return
    this.#clearProgress()
    writeForPeople(this.#question === undefined ? `${line}\n` : `\n${line}\n${this.#question}`)
  }

  /** An event for programs, with its line for people. */
  event<E extends EventName>(event: E, fields: EventFields<E>, line?: string): void {
    if (this.json) writeEvent(event, fields)
    else if (line !== undefined) this.say(line)
  }

  /** Lines that the next call overwrites. Only to be used when `interactive`. */
  progress(lines: readonly string[]): void {
    this.#clearProgress()
    for (const line of lines) process.stderr.write(`${line.slice(0, columns() - 1)}\n`)
    this.#progressLines = lines.length
  }

  /**
   * Asks, and resolves with the answer, or with undefined when there is nobody to answer or the question was withdrawn. At
   * a terminal only what is typed after the question is an answer; a pipe's lines are answers in their order.
   */
  async ask(kind: QuestionKind, question: string, signal?: AbortSignal): Promise<string | undefined> {
    this.listen()
    if (this.#echoes) await this.#forgetTyped()
    if (signal?.aborted) return undefined
    if (this.json) this.event('question', { kind, text: question.trim() })
    else {
      this.#clearProgress()
      writeForPeople(question)
    }
    return new Promise((resolve) => {
      const settle = (answer: string | undefined, endsLine: boolean) => {
        this.#waiting = undefined
        this.#question = undefined
        signal?.removeEventListener('abort', withdraw)
        if (!endsLine && !this.json) process.stderr.write('\n')
        resolve(kind === 'text' ? answer : answer?.trim())
      }
      const withdraw = () => settle(undefined, false)
      if (this.#unread.length > 0 || this.#inputEnded) return settle(this.#unread.shift(), false)
      if (!this.json) this.#question = question
      // Enter at a terminal has ended the question's line, because the terminal shows what is typed.
      this.#waiting = (answer) => settle(answer, answer !== undefined && this.#echoes)
      signal?.addEventListener('abort', withdraw)
    })
  }

  close(): void {
    this.#lines?.close()
    this.#lines = undefined
  }

  /**
   * Reads from now on: what is typed at a terminal before a question is shown cannot be meant as its answer, and a pipe that
   * has ended shows it.
   */
  listen(): void {
    if (this.#lines || this.#inputEnded) return
    const input = this.#answersFromTty ? openTty() : process.stdin
    if (!input) {
      this.#inputEnded = true
      return
    }
    this.#echoes = input.isTTY === true
    // Echo and editing stay with the terminal's own line discipline: nothing is written that was not asked for.
    this.#lines = createInterface({ input, terminal: false })
    this.#lines.on('line', (line) => {
      if (this.#waiting) this.#waiting(line)
      else this.#unread.push(line)
      this.#heard?.()
    })
    // The stdin that nohup gives cannot be read.
    input.on('error', () => this.#lines?.close())
    this.#lines.on('close', () => {
      this.#inputEnded = true
      this.#waiting?.(undefined)
      this.#heard?.()
    })
  }

  async #forgetTyped(): Promise<void> {
    do {
      this.#unread.length = 0
      // The system gives out what waits at a terminal line by line, and each takes a whole turn of the event loop.
      for (let turn = 0; turn < 2; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
    } while (this.#unread.length > 0)
  }

  /** From the start of the line: a terminal may have echoed a ^C behind the progress. */
  #clearProgress(): void {
    if (this.#progressLines > 0) process.stderr.write(`\r\u001b[${this.#progressLines}A\u001b[J`)
    this.#progressLines = 0
  }
}

/** Writes lines to stderr, broken between words where that is a terminal. */
export function writeForPeople(text: string): void {
  process.stderr.write(process.stderr.isTTY ? wrapped(text, columns()) : text)
}

function columns(): number {
  return Math.max(20, process.stderr.columns || 80)
}

function endsForCertain(): boolean {
  const input = fstatSync(0)
  return input.isFile() || input.isCharacterDevice()
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
