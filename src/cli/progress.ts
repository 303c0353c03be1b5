import { formatMatchNumber, type SendProgress } from '../client/index.ts'
import { formatBytes, formatDuration, Meter } from './format.ts'
import type { Terminal } from './terminal.ts'

/** How long nothing may move before that is told. */
const STALLED_AFTER_MS = 30_000
const LOOK_MS = 1_000
const CHECKING_EVERY_MS = 500
/** A transfer that needs a higher rate than this to end in time is worth a word before it begins. */
const USUAL_BYTES_PER_SECOND = 1024 * 1024
const TTL_STEP_SECONDS = 60
/** The time that a session takes beside its transfer, and the margin on a foreseen time. */
const PAIRING_MS = 120_000
const MARGIN = 1.25

export interface ProgressOptions {
  /** The devices at the other end. */
  readonly matchNumbers: readonly string[]
  /** A line of progress says whose it is. */
  readonly numbered: boolean
  readonly expiresInMs: () => number
  /** Returns what helps when the session is too short, given how long one has to be. */
  readonly advice: (ttlSeconds: number) => string
  readonly terminal: Pick<Terminal, 'event' | 'say' | 'progress' | 'interactive' | 'progressEveryMs'>
}

/** A device's part of a transfer. */
interface Lane {
  readonly matchNumber: string
  totalBytes: number | undefined
  meter: Meter | undefined
  movedAt: number
  stalled: boolean
}

/** Tells people and programs, while a transfer runs, how far it is, that it will be too late, and that nothing moves. */
export class Progress {
  readonly #options: ProgressOptions
  readonly #lanes: Map<string, Lane>
  readonly #timer: NodeJS.Timeout
  #drawnAt = performance.now()
  #warned = false

  /** Begins to watch. `stop` ends it. */
  constructor(options: ProgressOptions) {
    this.#options = options
    const movedAt = performance.now()
    this.#lanes = new Map(
      options.matchNumbers.map((matchNumber) => [
        matchNumber,
        { matchNumber, totalBytes: undefined, meter: undefined, movedAt, stalled: false },
      ]),
    )
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** A device has so many bytes now, of so many. */
  update({ matchNumber, bytes, totalBytes }: Pick<SendProgress, 'matchNumber' | 'bytes' | 'totalBytes'>): void {
    const lane = this.#lanes.get(matchNumber)
    if (!lane) return
    const now = performance.now()
    // Before the first line some time has to pass, or there is no rate to tell.
    if (![...this.#lanes.values()].some(({ meter }) => meter)) this.#drawnAt = now
    if (bytes !== lane.meter?.bytes) lane.movedAt = now
    lane.stalled &&= bytes === lane.meter?.bytes
    lane.totalBytes = totalBytes
    lane.meter ??= new Meter(totalBytes, now, bytes)
    lane.meter.update(bytes, now)
    if (now - this.#drawnAt >= this.#options.terminal.progressEveryMs) this.#draw(lane, now)
  }

  /** Nothing more is to be told of this device. */
  end(matchNumber: string): void {
    this.#lanes.delete(matchNumber)
    if (this.#lanes.size === 0) this.stop()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #draw(lane: Lane, now: number): void {
    this.#drawnAt = now
    const { terminal } = this.#options
    const { matchNumber, totalBytes, meter } = lane
    if (meter) {
      const leftMs = meter.leftMs(now)
      const bytesPerSecond = Math.round(meter.rate(now))
      const { bytes } = meter
      const left = leftMs && Math.round(leftMs)
      terminal.event('progress', { matchNumber, bytes, totalBytes, bytesPerSecond, leftMs: left })
      this.#warnWhenTooSlow(meter, now)
    }
    const lines = this.#lines(now)
    if (terminal.interactive) terminal.progress(lines)
    else for (const line of lines) terminal.say(line)
  }

  #lines(now: number): string[] {
    const { numbered } = this.#options
    return [...this.#lanes.values()].flatMap(({ matchNumber, meter }) =>
      meter ? [`${numbered ? `${formatMatchNumber(matchNumber)}  ` : ''}${meter.line(now)}`] : [],
    )
  }

  #warnWhenTooSlow(meter: Meter, now: number): void {
    const { expiresInMs, terminal, advice } = this.#options
    const leftMs = meter.leftMs(now)
    const expires = expiresInMs()
    if (this.#warned || leftMs === undefined || leftMs <= expires) return
    this.#warned = true
    const line =
      `At this rate it takes ${formatDuration(leftMs)} more, but the session ends in ${formatDuration(expires)}: it will ` +
      `not be complete. ${advice(ttlFor(meter.elapsedMs(now) + leftMs))}`
    terminal.event('too_slow', { leftMs: Math.round(leftMs), expiresInMs: Math.round(expires) }, line)
  }

  #look(): void {
    const now = performance.now()
    const { terminal, matchNumbers } = this.#options
    for (const lane of this.#lanes.values()) {
      if (lane.stalled || now - lane.movedAt < STALLED_AFTER_MS) continue
      lane.stalled = true
      const { matchNumber } = lane
      const device = matchNumbers.length > 1 ? `the device with ${formatMatchNumber(matchNumber)}` : 'the other device'
      const what = lane.meter ? 'Nothing has moved' : 'Nothing has moved yet'
      const line = `${what} for ${formatDuration(STALLED_AFTER_MS)}. Waiting for ${device}; Ctrl-C gives up.`
      terminal.event('stalled', { matchNumber, ms: Math.round(now - lane.movedAt) }, line)
    }
    // The time that is left and the rate are no longer true when nothing comes.
    if (terminal.interactive && now - this.#drawnAt >= LOOK_MS && this.#lines(now).length > 0) {
      this.#drawnAt = now
      terminal.progress(this.#lines(now))
    }
  }
}

/** How long a session has to be for a transfer of this length, in seconds. */
function ttlFor(transferMs: number): number {
  const seconds = (transferMs * MARGIN + PAIRING_MS) / 1000
  return Math.ceil(seconds / TTL_STEP_SECONDS) * TTL_STEP_SECONDS
}

/** The rate that a transfer needs to end before its session, in words, when that is more than usual. */
export function neededRate(totalBytes: number | undefined, expiresInMs: number): string | undefined {
  if (totalBytes === undefined) return undefined
  const bytesPerSecond = (totalBytes / Math.max(1, expiresInMs)) * 1000
  if (bytesPerSecond <= USUAL_BYTES_PER_SECOND) return undefined
  const rate = formatBytes(Math.round(bytesPerSecond))
  return `The session ends in ${formatDuration(expiresInMs)}: this needs ${rate}/s from now on.`
}

/** Tells how far both sides have compared what was there before: at once, twice a second, and at the end. */
export function checking(matchNumber: string, terminal: ProgressOptions['terminal']) {
  let toldAt = Number.NEGATIVE_INFINITY
  return (bytes: number, totalBytes: number) => {
    const now = performance.now()
    if (now - toldAt < CHECKING_EVERY_MS && bytes < totalBytes) return
    toldAt = now
    terminal.event('checking', { matchNumber, bytes, totalBytes })
    const line = `Checking what is there: ${Math.floor((bytes / totalBytes) * 100)} %`
    if (terminal.interactive) terminal.progress([line])
  }
}
