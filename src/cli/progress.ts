import { formatMatchNumber } from '../client/index.ts'
import { formatBytes, formatDuration, Meter, percentOf } from './format.ts'
import type { Terminal } from './terminal.ts'

/** How often it is looked at: at a terminal that is how often lines are drawn. */
const LOOK_MS = 200
/** At least this often a program is told of what moves. */
const EVENT_EVERY_MS = 400
/** Plain lines come at each tenth, but not sooner than the first of these after another, and at the second at the latest. */
const LINE_AFTER_MS = 5_000
const LINE_EVERY_MS = 60_000
/** How long nothing may move before that is told. */
const STALLED_AFTER_MS = 30_000
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
  /** Something has moved. */
  readonly onMove?: (() => void) | undefined
  readonly terminal: Pick<Terminal, 'event' | 'say' | 'progress' | 'interactive' | 'columns'>
}

/** Bytes of a device, and of how many. */
interface Position {
  readonly matchNumber: string
  readonly bytes: number
  readonly totalBytes: number | undefined
}

/** A device's part of a transfer. */
interface Lane {
  readonly matchNumber: string
  /** State in words, as long as no bytes move. */
  stage: string
  meter: Meter | undefined
  totalBytes: number | undefined
  /** Bytes that the device had before. */
  hasBytes: number
  movedAt: number
  stalled: boolean
  /** Bytes in its last event, and when that was. */
  toldBytes: number | undefined
  toldAt: number
  /** Percentage in its last plain line, and when that was. */
  linePercent: number
  lineAt: number
}

const WAITING = 'waiting for the answer'
const ACCEPTED = 'accepted'
const CHECKING = 'checking what is there'

/** Tells people and programs how far each device is, that it will be too late, and that nothing moves. */
export class Progress {
  readonly #options: ProgressOptions
  readonly #lanes: Map<string, Lane>
  readonly #timer: NodeJS.Timeout
  #warned = false

  /** Begins to watch. `stop` ends it. */
  constructor(options: ProgressOptions) {
    this.#options = options
    const now = performance.now()
    const begun = {
      stage: WAITING,
      hasBytes: 0,
      movedAt: now,
      stalled: false,
      toldAt: now,
      linePercent: 0,
      lineAt: now,
    }
    const nothing = { meter: undefined, totalBytes: undefined, toldBytes: undefined }
    const laneOf = (matchNumber: string): Lane => ({ matchNumber, ...begun, ...nothing })
    this.#lanes = new Map(options.matchNumbers.map((matchNumber) => [matchNumber, laneOf(matchNumber)]))
    this.#timer = setInterval(() => this.#look(), LOOK_MS)
  }

  /** Both sides have compared so many bytes, of those that the device has from before. */
  check({ matchNumber, bytes, totalBytes = 0 }: Position): void {
    const lane = this.#move(matchNumber)
    if (!lane) return
    const { terminal } = this.#options
    const now = performance.now()
    const isFirst = !lane.stage.startsWith(CHECKING)
    if (isFirst && !terminal.interactive) terminal.say(`${this.#whose(lane)}Checking what is there.`)
    lane.stage = `${CHECKING}: ${percentOf(bytes, totalBytes)} %`
    if (!isFirst && bytes < totalBytes && now - lane.toldAt < EVENT_EVERY_MS) return
    lane.toldAt = now
    terminal.event('checking', { matchNumber, bytes, totalBytes })
  }

  /** A device has said yes, and has so many bytes from before. */
  answer(matchNumber: string, hasBytes: number): void {
    const lane = this.#move(matchNumber)
    if (lane) Object.assign(lane, { hasBytes, stage: ACCEPTED })
  }

  /** A device has so many bytes now, of so many. */
  update({ matchNumber, bytes, totalBytes }: Position): void {
    const lane = this.#lanes.get(matchNumber)
    if (!lane) return
    const now = performance.now()
    if (bytes !== lane.meter?.bytes) this.#move(matchNumber)
    lane.totalBytes = totalBytes
    if (!lane.meter) {
      lane.meter = new Meter(totalBytes, now, bytes)
      // Some time has to pass before there is a rate to tell.
      Object.assign(lane, { toldAt: now, lineAt: now, linePercent: lane.meter.percent ?? 0 })
    }
    lane.meter.update(bytes, now)
    this.#warnWhenTooSlow(lane.meter, now)
  }

  /** Nothing more is to be told of this device, which has taken so many bytes by its own word. */
  end(matchNumber: string, takenBytes?: number): void {
    const lane = this.#lanes.get(matchNumber)
    if (!lane) return
    if (takenBytes !== undefined) this.update({ ...lane, bytes: lane.hasBytes + takenBytes })
    this.#tellProgram(lane, performance.now())
    this.#lanes.delete(matchNumber)
    if (this.#lanes.size === 0) this.stop()
  }

  stop(): void {
    clearInterval(this.#timer)
    for (const lane of this.#lanes.values()) this.#tellProgram(lane, performance.now())
    this.#lanes.clear()
  }

  #move(matchNumber: string): Lane | undefined {
    const lane = this.#lanes.get(matchNumber)
    if (!lane) return undefined
    this.#options.onMove?.()
    return Object.assign(lane, { movedAt: performance.now(), stalled: false })
  }

  #look(): void {
    const now = performance.now()
    const { terminal } = this.#options
    for (const lane of this.#lanes.values()) {
      if (!lane.stalled && now - lane.movedAt >= STALLED_AFTER_MS) this.#tellStalled(lane, now)
      if (!lane.meter) continue
      if (now - lane.toldAt >= EVENT_EVERY_MS) this.#tellProgram(lane, now)
      if (!terminal.interactive) this.#tellPlainly(lane, lane.meter, now)
    }
    if (terminal.interactive) terminal.progress(this.#lines(now))
  }

  /** Tells how far a device is, unless that is known. */
  #tellProgram(lane: Lane, now: number): void {
    const { matchNumber, totalBytes, meter } = lane
    if (!meter || meter.bytes === lane.toldBytes) return
    const leftMs = meter.leftMs(now)
    const [bytes, bytesPerSecond, left] = [meter.bytes, Math.round(meter.rate(now)), leftMs && Math.round(leftMs)]
    this.#options.terminal.event('progress', { matchNumber, bytes, totalBytes, bytesPerSecond, leftMs: left })
    Object.assign(lane, { toldBytes: bytes, toldAt: now })
  }

  /** Tells it in a line of its own, now and then. */
  #tellPlainly(lane: Lane, meter: Meter, now: number): void {
    const { percent = 0 } = meter
    const ms = now - lane.lineAt
    const isFurther = Math.floor(percent / 10) > Math.floor(lane.linePercent / 10)
    if (lane.stalled || ms < LINE_AFTER_MS || (!isFurther && ms < LINE_EVERY_MS)) return
    Object.assign(lane, { linePercent: percent, lineAt: now })
    this.#options.terminal.say(`${this.#whose(lane)}${meter.line(now).trimStart()}`)
  }

  /** Lines of all devices, as they are now. A device alone has one from its first bytes on. */
  #lines(now: number): string[] {
    const { terminal, matchNumbers } = this.#options
    return [...this.#lanes.values()].flatMap((lane) => {
      const { meter, stage } = lane
      const whose = this.#whose(lane)
      if (meter && meter.elapsedMs(now) >= LOOK_MS)
        return `${whose}${meter.line(now, terminal.columns - 1 - whose.length)}`
      const isKnown = matchNumbers.length === 1 && (stage === WAITING || stage === ACCEPTED)
      return isKnown ? [] : whose + (whose === '' ? stage.replace(/^c/, 'C') : stage)
    })
  }

  #whose({ matchNumber }: Lane): string {
    return this.#options.numbered ? `${formatMatchNumber(matchNumber)}  ` : ''
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

  #tellStalled(lane: Lane, now: number): void {
    const { terminal, matchNumbers } = this.#options
    lane.stalled = true
    const { matchNumber, stage } = lane
    const device = matchNumbers.length > 1 ? `the device with ${formatMatchNumber(matchNumber)}` : 'the other device'
    const time = formatDuration(STALLED_AFTER_MS)
    const what =
      lane.meter || stage !== WAITING
        ? `Nothing has moved for ${time}. Waiting for ${device}`
        : `No answer from ${device} for ${time}`
    terminal.event('stalled', { matchNumber, ms: Math.round(now - lane.movedAt) }, `${what}; Ctrl-C gives up.`)
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
