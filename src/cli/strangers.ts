import { EventEmitter, once } from 'node:events'
import type { FailedAttempts } from '../client/index.ts'
import type { Terminal } from './terminal.ts'

/** A device that has the code proves it in a moment; one that has not proved it for this long is told of. */
const UNPROVEN_AFTER_MS = 5_000

/** Others who use the code: tells the person of them, and `change` when to ask the person anew. */
export class Strangers {
  readonly #terminal: Pick<Terminal, 'event' | 'say'>
  #timer: NodeJS.Timeout | undefined
  #unproven = 0
  #told = 0
  #usedUp = false
  readonly #changes = new EventEmitter().setMaxListeners(0)

  constructor(terminal: Pick<Terminal, 'event' | 'say'>) {
    this.#terminal = terminal
  }

  readonly onFailedAttempt = ({ wrongCode, timedOut, invalid }: FailedAttempts): void => {
    const line = failedAttempts(wrongCode, timedOut, invalid)
    this.#terminal.event('failed_attempt', { wrongCode, timedOut, invalid }, line)
    this.#changes.emit('change')
  }

  readonly onWaiting = ({ unproven }: { unproven: number }): void => {
    this.#unproven = unproven
    this.#timer ??= setTimeout(() => this.#tell(), UNPROVEN_AFTER_MS)
    this.#changes.emit('change')
  }

  readonly onUsedUp = (): void => {
    this.usedUp('Others have used the code up: no new device can come.')
  }

  /** Tells, once, that the code is of no use to a new device. */
  usedUp(why: string): void {
    if (this.#usedUp) return
    this.#usedUp = true
    this.#terminal.event('used_up', {}, why)
  }

  /** Resolves at the next change. */
  change(): Promise<unknown> {
    return once(this.#changes, 'change')
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #tell(): void {
    this.#timer = undefined
    if (this.#unproven === this.#told) return
    this.#told = this.#unproven
    const waiting = this.#unproven === 1 ? '1 device waits that has' : `${this.#unproven} devices wait that have`
    const line = this.#unproven > 0 ? `${waiting} not proved to know the code.` : undefined
    this.#terminal.event('waiting', { unproven: this.#unproven }, line)
  }
}

function failedAttempts(wrongCode: number, timedOut: number, invalid: number): string {
  const devices = (count: number) => (count === 1 ? '1 device' : `${count} devices`)
  const wrong = wrongCode > 0 ? `${devices(wrongCode)} tried a wrong code.` : ''
  const late = timedOut > 0 ? `${devices(timedOut)} did not answer in time.` : ''
  const broken = invalid > 0 ? `${devices(invalid)} did not follow the protocol.` : ''
  return [wrong, late, broken].filter(Boolean).join(' ')
}
