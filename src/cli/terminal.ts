import { closeSync, fstatSync, openSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import { ReadStream } from 'node:tty'
import { type EventFields, type EventName, type Need, needOf, type QuestionKind, writeEvent } from './events.ts'
import { columnsOf, wrapped } from './format.ts'

/** A process whose lines were not drawn again for so long was stopped meanwhile. */
const STOPPED_MS = 1_500

/** How a command talks. */
export interface Manner {
  /** Events for programs in place of lines for people. */
  readonly json?: boolean | undefined
  /** Only the code, questions and what they are about, and errors. */
  readonly quiet?: boolean | undefined
  /** Nobody is asked. */
  readonly yes?: boolean | undefined
  /** Nothing is drawn again: no colours, no blocks, a line for each change of state. */
  readonly plain?: boolean | undefined
}

interface TerminalOptions extends Manner {
  readonly stdinIsData: boolean
}

/**
 * The person at the terminal: lines to stderr, answers from stdin, or from /dev/tty when stdin carries data. With `json`
 * the lines for people are replaced by events on stdout, one JSON object a line.
 */
export class Terminal {
  readonly json: boolean
  /** Lines are drawn again: stderr is a terminal that can, and its person wants that. */
  readonly interactive: boolean
  /** Lines that are shown. */
  readonly #shown: readonly Need[]
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
  /** Lines that are drawn, and stand directly above the cursor. */
  #drawn: readonly string[] = []
  #drawnAt = 0
  /** Asks again below what a shell has written after a Ctrl-Z. */
  readonly #onContinued = () => {
    if (this.#question !== undefined) writeForPeople(this.#question)
  }

  constructor({ json = false, quiet = false, plain = false, yes = false, stdinIsData }: TerminalOptions) {
    this.json = json
    const { TERM, PAIRLAY_PLAIN = '' } = process.env
    // Windows sets none, and its terminals draw.
    const cannotDraw = TERM === 'dumb' || (!TERM && process.platform !== 'win32')
    const isPlain = plain || PAIRLAY_PLAIN !== '' || cannotDraw || process.stderr.isTTY !== true
    this.interactive = !isPlain && !quiet && !json
    const needs: readonly Need[] = quiet ? (yes ? ['always'] : ['always', 'answer']) : ['always', 'answer', 'news']
    this.#shown = json ? [] : needs
    this.#answersFromTty = stdinIsData
    process.on('SIGCONT', this.#onContinued)
  }

  /** Columns and rows, as far as the terminal says how many it has. */
  get columns(): number {
    return columns()
  }

  get rows(): number {
    return process.stderr.rows || 24
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

  /** A line for people, before the question that is open. Strings from elsewhere must be clean already. */
  say(line: string, need: Need = 'news'): void {
    if (!this.#shown.includes(need)) return
    this.#clearProgress()
    writeForPeople(this.#question === undefined ? `${line}\n` : `\n${line}\n${this.#question}`)
  }

  /** An event for programs, with its line for people. */
  event<E extends EventName>(event: E, fields: EventFields<E>, line?: string): void {
    if (this.json) writeEvent(event, fields)
    else if (line !== undefined) this.say(line, needOf(event))
  }

  /** Lines that the next call overwrites, which comes a moment later. Only to be used when `interactive`. */
  progress(lines: readonly string[]): void {
    const cut = lines.map((line) => line.slice(0, columns() - 1))
    const now = performance.now()
    // After a Ctrl-Z a shell has written below them.
    if (now - this.#drawnAt > STOPPED_MS) this.#drawn = []
    this.#drawnAt = now
    if (cut.join('\n') === this.#drawn.join('\n')) return
    this.#clearProgress()
    for (const line of cut) process.stderr.write(`${line}\n`)
    this.#drawn = cut
  }

  /** Ends the line into which the terminal has written a ^C, unless what is drawn or asked there goes anyway. */
  endLine(): void {
    const isOver = this.#drawn.length > 0 || this.#question !== undefined
    if (!isOver && process.stderr.isTTY && !this.json) process.stderr.write('\n')
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
    process.off('SIGCONT', this.#onContinued)
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
    // A terminal that became narrower has broken them into more.
    const rows = this.#drawn.reduce((sum, line) => sum + Math.max(1, Math.ceil(columnsOf(line) / columns())), 0)
    if (rows > 0) process.stderr.write(`\r\u001b[${rows}A\u001b[J`)
    this.#drawn = []
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
