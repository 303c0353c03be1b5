const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']

/** 1,536 → '1.5 KiB'. */
export function formatBytes(bytes: number): string {
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  const value = bytes / 1024 ** power
  return `${power === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${bytes === 1 ? 'byte' : UNITS[power]}`
}

/** 2 → '2 files'. */
export function formatFiles(files: number): string {
  if (files === 0) return 'no files'
  return files === 1 ? '1 file' : `${files} files`
}

/** Milliseconds as 0:07, 12:30, 1:02:03. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const two = (value: number) => String(value).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}

/** A text without control characters as one word for a shell. */
export function forShell(text: string): string {
  return /^[\w:/.%~+@-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** A space between words, but not the one in a match number, or before a unit. */
const GAP = /(?<!\d{3}(?= \d{3}\b)) (?=\S)(?!(?<=\d )(?:bytes?|[KMGT]iB)\b)/
/** Characters from here on may take two columns, and none before it does. */
const FIRST_WIDE = '\u1100'

/** Columns of a terminal that a text takes at most: a line broken by them never runs over its end. */
export function columnsOf(text: string): number {
  return [...text].reduce((columns, character) => columns + (character < FIRST_WIDE ? 1 : 2), 0)
}

/** Breaks lines between words to fit `width` columns. Indented lines, such as a command to copy, stay whole. */
export function wrapped(text: string, width: number): string {
  return text.replaceAll(/^(?! {2}).+$/gm, (line) => {
    const [first = '', ...words] = line.split(GAP)
    let column = columnsOf(first)
    return words.reduce((all, word) => {
      const fits = column + 1 + columnsOf(word.trimEnd()) <= width
      column = (fits ? column + 1 : 0) + columnsOf(word)
      return all + (fits ? ' ' : '\n') + word
    }, first)
  })
}

/** The rate is taken over this long, and no time is foretold before this much of it has passed. */
const RATE_OVER_MS = 5_000
const FORETELL_AFTER_MS = 2_000
const SAMPLE_MS = 200
/** A transfer in which nothing moved for this long has no rate and no time left. */
const STILL_MS = 10_000

/**
 * How far a transfer is, how fast, and how long it will take. It starts with the first bytes that move, and the time
 * a person takes to accept does not count. `bytes` only ever grows; times in milliseconds.
 */
export class Meter {
  readonly #startedAt: number
  readonly #totalBytes: number | undefined
  #bytes: number
  #movedAt: number
  /** Samples of the last seconds: the rate is what is going on now, not the average since the start. */
  #samples: { at: number; bytes: number }[]

  constructor(totalBytes: number | undefined, now: number, bytes = 0) {
    this.#startedAt = now
    this.#totalBytes = totalBytes
    this.#bytes = bytes
    this.#movedAt = now
    this.#samples = [{ at: now, bytes }]
  }

  get bytes(): number {
    return this.#bytes
  }

  elapsedMs(now: number): number {
    return now - this.#startedAt
  }

  update(bytes: number, now: number): void {
    if (bytes !== this.#bytes) this.#movedAt = now
    this.#bytes = bytes
    const last = this.#samples.at(-1)
    if (last && now - last.at < SAMPLE_MS) return
    this.#samples.push({ at: now, bytes })
    // An older one stays: a slow transfer must have two to compare.
    while (this.#samples[1] && now - this.#samples[1].at >= RATE_OVER_MS) this.#samples.shift()
  }

  /** Bytes per second over the last seconds. */
  rate(now: number): number {
    const first = this.#samples[0]
    const elapsedMs = first ? now - first.at : 0
    return first && elapsedMs > 0 ? ((this.#bytes - first.bytes) / elapsedMs) * 1000 : 0
  }

  /** How long the rest takes at the current rate, or undefined when that is not known. */
  leftMs(now: number): number | undefined {
    const rate = this.rate(now)
    if (this.#totalBytes === undefined || rate === 0 || this.elapsedMs(now) < FORETELL_AFTER_MS) return undefined
    return ((this.#totalBytes - this.#bytes) / rate) * 1000
  }

  /** The share in percent, as far as there is a length to compare with. */
  get percent(): number | undefined {
    return this.#totalBytes === undefined ? undefined : percentOf(this.#bytes, this.#totalBytes)
  }

  /** Reports whether nothing has moved for a while. */
  isStill(now: number): boolean {
    return now - this.#movedAt >= STILL_MS
  }

  /** Returns one line, ' 45%  120 MiB of 256 MiB  98 MiB/s  0:02 left', or as much of it as `width` columns take. */
  line(now: number, width = Number.POSITIVE_INFINITY): string {
    const total = this.#totalBytes
    const percent = this.percent === undefined ? '' : `${this.percent}%`.padStart(4)
    const bytes = formatBytes(this.#bytes)
    const of = total === undefined ? bytes : `${bytes} of ${formatBytes(total)}`
    const left = this.leftMs(now)
    const rate = this.isStill(now) ? 'stalled' : `${formatBytes(Math.round(this.rate(now)))}/s`
    const rest = left === undefined || this.isStill(now) ? '' : `${formatDuration(left)} left`
    const lines = [
      [percent, of, rate, rest],
      [percent, bytes, rate, rest],
      [percent, rate, rest],
      [percent || bytes, rest || rate],
    ].map((parts) => parts.filter(Boolean).join('  '))
    return lines.find((line) => line.length <= width) ?? (percent || bytes)
  }
}

/** Whole percent of a length. Nothing is whole. */
export function percentOf(bytes: number, totalBytes: number): number {
  return totalBytes === 0 ? 100 : Math.floor((bytes / totalBytes) * 100)
}

/** '256 MiB in 2.5 s (102 MiB/s)'. */
export function formatResult(bytes: number, ms: number): string {
  return `${formatBytes(bytes)} in ${(ms / 1000).toFixed(1)} s (${formatBytes(Math.round((bytes / Math.max(1, ms)) * 1000))}/s)`
}
