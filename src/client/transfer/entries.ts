import { type Form, integer, literal, object, optional, string } from '../../protocol/forms.ts'
import { utf8Length } from '../../protocol/text.ts'
import { PairingError } from '../errors.ts'
import { type List, PackedList } from '../list.ts'
import { encodeLines, LineReader } from './lines.ts'

/** The entries of an offer: files, and folders that are empty. PROTOCOL.md, section 10.4. */

/** Files and empty folders of one offer, at most. */
export const ENTRIES_MAX = 100_000
export const ENTRIES_MAX_BYTES = 16 * 1024 * 1024
export const SEGMENTS_MAX = 128
export const SEGMENT_MAX_BYTES = 255
export const PATH_MAX_BYTES = 4096
const TYPE_MAX_LENGTH = 255

/** A file or empty folder of an offer. Path and type are the peer's words. */
export interface Entry {
  /** 1 to 128 segments joined by `/`; the first is the thing that a person chose. */
  readonly path: string
  /** Bytes. Absent for a folder, and for a single pipe. */
  readonly size?: number | undefined
  /** Milliseconds since 1970. */
  readonly modified?: number | undefined
  /** A media type, at most 255 characters. */
  readonly type?: string | undefined
  /** A file that can be executed. */
  readonly x?: true | undefined
  /** An empty folder. */
  readonly dir?: true | undefined
}

/** Reports whether a text has at most so many bytes in UTF-8. No code unit has more than three. */
const fits = (text: string, bytes: number) => 3 * text.length <= bytes || utf8Length(text) <= bytes

const isSegment = (segment: string) =>
  segment !== '' && segment !== '.' && segment !== '..' && fits(segment, SEGMENT_MAX_BYTES)

const isPath = (path: string) =>
  path.length <= PATH_MAX_BYTES &&
  fits(path, PATH_MAX_BYTES) &&
  // A lone surrogate has no UTF-8.
  !/[\0\p{Surrogate}]/u.test(path) &&
  path.split('/').length <= SEGMENTS_MAX &&
  path.split('/').every(isSegment)

const Line = object(
  {
    path: string({ holds: isPath }),
    size: optional(integer(0)),
    modified: optional(integer(Number.MIN_SAFE_INTEGER)),
    type: optional(string({ max: TYPE_MAX_LENGTH })),
    x: optional(literal(true)),
    dir: optional(literal(true)),
  },
  ({ size, dir }) => !dir || size === undefined,
)

/** The bytes of all entries, or undefined for a pipe. */
export function totalOf(entries: Iterable<Pick<Entry, 'size' | 'dir'>>): number | undefined {
  let total = 0
  for (const { size, dir } of entries) {
    if (size === undefined && !dir) return undefined
    total += size ?? 0
  }
  return total
}

/** Entries, each perhaps made when it is looked at. */
type Entries = Pick<List<Entry>, 'length' | typeof Symbol.iterator>

/**
 * The lines of an offer. Throws RangeError, with what to change, for entries that an offer cannot have.
 */
export function encodeEntries(entries: Entries): Uint8Array {
  for (const entry of entries) {
    if (Line.safeParse(entry).success) continue
    throw new RangeError(`${JSON.stringify(entry.path)} cannot be sent: ${faultIn(entry)}`)
  }
  const lines = encodeLines(entries)
  const fault = faultOf(entries, lines.length)
  if (fault) throw new RangeError(fault)
  return lines
}

/** Reads the entries of an offer as their bytes come. Throws PairingError `corrupt` for what an offer cannot have. */
export class EntryReader {
  readonly #count: number
  readonly #entries = new PackedList<Entry>()
  readonly #lines = new LineReader((value) => this.#take(value))
  #bytes = 0

  /** `count` is the number of entries that the offer announced, ENTRIES_MAX at most. */
  constructor(count: number) {
    this.#count = count
  }

  push(bytes: Uint8Array): void {
    this.#bytes += bytes.length
    if (this.#bytes > ENTRIES_MAX_BYTES) throw new PairingError('corrupt')
    this.#lines.push(bytes)
  }

  /** All of them. */
  end(): List<Entry> {
    this.#lines.end()
    if (this.#entries.length !== this.#count || faultOf(this.#entries, this.#bytes)) throw new PairingError('corrupt')
    return this.#entries
  }

  #take(value: unknown): void {
    const line = Line.safeParse(value)
    if (!line.success || this.#entries.length === this.#count) throw new PairingError('corrupt')
    this.#entries.push(line.data)
  }
}

/** Returns what to change in an entry of a wrong form. */
function faultIn(entry: Entry): string {
  const fields = Object.entries(Line.fields) as [keyof Entry, Form<unknown>][]
  const [field] = fields.find(([name, form]) => !form.safeParse(entry[name]).success) ?? []
  switch (field) {
    case 'path':
      return `a name has 1 to 255 bytes between slashes, and none is . or ..; a path has at most ${SEGMENTS_MAX} names and ${PATH_MAX_BYTES} bytes`
    case 'size':
      return 'size is a whole number of bytes'
    case 'modified':
      return 'modified is a whole number of milliseconds'
    case 'type':
      return `type has at most ${TYPE_MAX_LENGTH} characters`
    default:
      return 'x and dir are true or absent, and a folder has no size'
  }
}

/** Why these entries cannot be one offer, if so. Each is of a right form by itself. */
function faultOf(entries: Entries, bytes: number): string | undefined {
  if (entries.length < 1) return 'no files'
  if (entries.length > ENTRIES_MAX) return `more than ${ENTRIES_MAX} files`
  if (bytes > ENTRIES_MAX_BYTES) return `names of more than ${ENTRIES_MAX_BYTES} bytes together`
  const total = totalOf(entries)
  if (total === undefined && entries.length > 1) return 'a pipe goes alone'
  if (!Number.isSafeInteger(total ?? 0)) return 'too many bytes'
  const things = new Set<string>()
  let last: string | undefined
  for (const { path } of entries) {
    const [thing = path] = path.split('/', 1)
    if (thing !== last && things.has(thing))
      return `${JSON.stringify(thing)} is there twice, or its files do not stand together`
    things.add(thing)
    last = thing
  }
  // Whoever walks through folders in order gives a sorted list: of that one no copy is made.
  const clash = clashIn(sortKeys(entries)) && clashIn([...sortKeys(entries)].sort())
  if (clash === undefined) return undefined
  return `${JSON.stringify(clash.slice(0, -1).replaceAll('\0', '/'))} is there twice, or lies under another file`
}

/** Paths with NUL for the slash, which sorts before all else: what lies under a path follows it at once. */
function* sortKeys(entries: Entries): Generator<string> {
  for (const { path } of entries) yield `${path.replaceAll('/', '\0')}\0`
}

/** Returns the first key that does not sort behind the one before it, or begins with it, if any. */
function clashIn(keys: Iterable<string>): string | undefined {
  let last: string | undefined
  for (const key of keys) {
    if (last !== undefined && (key <= last || key.startsWith(last))) return key
    last = key
  }
  return undefined
}
