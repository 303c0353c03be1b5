import { base64Url } from '../../protocol/fields.ts'
import { integer, object, optional } from '../../protocol/forms.ts'
import { CodecError, parseJson } from '../../protocol/text.ts'
import { PairingError } from '../errors.ts'
import { PackedList } from '../list.ts'

/** Bodies of messages that have lines: JSON objects, each ended by a line feed. PROTOCOL.md, section 10.2. */

export const LINE_MAX_BYTES = 8192
const LINE_FEED = 0x0a

/** Part of an entry that one side has, as `answer`, `check` and `start` say it; `check` has the digest of these bytes. */
export interface Part {
  readonly entry: number
  readonly bytes: number
  readonly sha256?: string | undefined
}

const PartLine = object({
  entry: integer(0),
  bytes: integer(1),
  sha256: optional(base64Url(32)),
})

/**
 * Reads lines of parts, ascending by entry, each once. `isPart` tells whether one can be meant. Throws PairingError
 * `corrupt`.
 */
export class PartReader {
  readonly parts = new PackedList<Part>()
  #last = -1
  readonly #isPart: (part: Part) => boolean
  readonly #lines = new LineReader((value) => this.#take(value))

  constructor(isPart: (part: Part) => boolean) {
    this.#isPart = isPart
  }

  push(bytes: Uint8Array): void {
    this.#lines.push(bytes)
  }

  end(): void {
    this.#lines.end()
  }

  #take(value: unknown): void {
    const line = PartLine.safeParse(value)
    if (!line.success || line.data.entry <= this.#last || !this.#isPart(line.data)) throw new PairingError('corrupt')
    this.#last = line.data.entry
    this.parts.push(line.data)
  }
}

/** Objects as lines. They are read twice, so that no bytes are held but the result. Throws RangeError for one that is too long. */
export function encodeLines(values: Iterable<object>): Uint8Array {
  const encoder = new TextEncoder()
  const lineOf = (value: object) => `${JSON.stringify(value)}\n`
  const longest = new Uint8Array(LINE_MAX_BYTES)
  let length = 0
  for (const value of values) {
    const line = lineOf(value)
    const { read, written } = encoder.encodeInto(line, longest)
    if (read < line.length) throw new RangeError('a name is too long')
    length += written
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const value of values) at += encoder.encodeInto(lineOf(value), bytes.subarray(at)).written
  return bytes
}

/** Reads lines as their bytes come, never more than one of them at a time. Throws PairingError `corrupt`. */
export class LineReader {
  readonly #take: (value: unknown) => void
  readonly #line = new Uint8Array(LINE_MAX_BYTES)
  #filled = 0

  /** `take` is called with the value of each line. */
  constructor(take: (value: unknown) => void) {
    this.#take = take
  }

  push(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const end = bytes.indexOf(LINE_FEED, from)
      const part = bytes.subarray(from, end < 0 ? undefined : end)
      // The line feed counts.
      if (this.#filled + part.length >= LINE_MAX_BYTES) throw new PairingError('corrupt')
      this.#line.set(part, this.#filled)
      this.#filled += part.length
      if (end < 0) return
      const line = this.#line.subarray(0, this.#filled)
      this.#filled = 0
      this.#take(jsonOf(line))
      from = end + 1
    }
  }

  /** The body has ended: no line may be without its end. */
  end(): void {
    if (this.#filled > 0) throw new PairingError('corrupt')
  }
}

/** Parses JSON that the peer sealed. Throws PairingError `corrupt`. */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof CodecError || error instanceof TypeError) throw new PairingError('corrupt', { cause: error })
    throw error
  }
}
