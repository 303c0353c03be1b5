import { createHash } from 'node:crypto'
import { join, sep } from 'node:path'
import { type Entry, type List, mapped, PackedList } from '../client/index.ts'
import { decodeCrockford, encodeCrockford } from '../crypto/encoding.ts'
import { decodeBase64Url, encodeBase64Url } from '../protocol/text.ts'
import { beginning, FILE_NAME_BYTES, numbered, safeName, safeSegment } from './names.ts'

/** Names on this disk for what an offer brings. */

const PART = /\.([0-9a-hjkmnp-tv-z]{26})\.part$/
/** Length that most systems take for a whole path, less room for the directory that it is in. */
const PATH_MAX_BYTES = 3500
/** Of the digest of a name that is cut. */
const DIGEST_SYMBOLS = 16

/** A folder as it is here, and by the offerer's name what is known of the folders in it. */
interface Folder {
  readonly path: string
  readonly folders: Map<string, Folder>
  readonly names: FreeNames
}

/**
 * Where each entry goes, relative to the directory: every segment cleaned, and made another name where two would be one
 * after NFC and lower-casing, at every level and on every file system. `nameOf` chooses the name of a thing.
 */
export function localPaths(entries: List<Pick<Entry, 'path'>>, nameOf = safeName): List<string> {
  const top: Folder = { path: '', folders: new Map(), names: new FreeNames() }
  // There may be 100,000, and nearly all are the same here.
  const others = new PackedList<string>()
  for (const { path } of entries) {
    const segments = path.split('/')
    const name = segments.pop() ?? ''
    let folder = top
    for (const segment of segments) {
      const known = folder.folders.get(segment)
      const next = known ?? { path: placed(folder, segment, nameOf), folders: new Map(), names: new FreeNames() }
      if (!known) folder.folders.set(segment, next)
      folder = next
    }
    const local = placed(folder, name, nameOf)
    if (Buffer.byteLength(local) > PATH_MAX_BYTES) throw new RangeError('the path is too long for this disk')
    others.push(local === path ? '' : local)
  }
  return mapped(entries, ({ path }, index) => others.at(index) || path)
}

/** A path for a name in a folder that nothing else has. */
function placed({ path, names }: Folder, segment: string, nameOf: (thing: string) => string): string {
  return path === '' ? names.take(nameOf(segment)) : path + sep + names.take(safeSegment(segment))
}

/** Names of one folder: none is another's after NFC and lower-casing. */
export class FreeNames {
  /** By a name that is taken, the number from which on to look for another in its place. */
  readonly #taken = new Map<string, number>()

  has(name: string): boolean {
    return this.#taken.has(keyOf(name))
  }

  /** Takes a name, or the next number of it that is free. However many are alike, it looks at each once. */
  take(name: string): string {
    const key = keyOf(name)
    let n = this.#taken.get(key)
    let free = name
    while (n !== undefined && this.#taken.has(keyOf(free))) free = numbered(name, n++)
    if (n !== undefined) this.#taken.set(key, n)
    this.#taken.set(keyOf(free), 2)
    return free
  }
}

/** The same for two names that are one on some file system. */
export function keyOf(name: string): string {
  return name.normalize('NFC').toLowerCase()
}

/** The temporary path: the thing's name with the token behind it, cut where it would be too long. */
export function partPath(local: string, token: string): string {
  return partPaths(token)(local)
}

/** `partPath` of many paths, in a directory if one is given. */
export function partPaths(token: string, directory?: string): (local: string) => string {
  const suffix = `.${symbolsOf(token)}.part`
  const before = directory === undefined ? '' : join(directory, sep)
  let last: { thing?: string; part: string } = { part: '' }
  return (local) => {
    const end = local.search(/[/\\]|$/)
    const thing = local.slice(0, end)
    if (thing !== last.thing) last = { thing, part: fitting(thing, FILE_NAME_BYTES - suffix.length) + suffix }
    return before + last.part + local.slice(end)
  }
}

/** The name, or its beginning and a digest of it: no two that are cut are the same then. */
function fitting(name: string, maxBytes: number): string {
  if (Buffer.byteLength(name) <= maxBytes) return name
  const digest = createHash('sha256').update(name).digest('hex').slice(0, DIGEST_SYMBOLS)
  return `${beginning(name, maxBytes - DIGEST_SYMBOLS - 1)}~${digest}`
}

/** The token in the name of a partial, if it is one. */
export function tokenIn(name: string): string | undefined {
  const [, symbols] = PART.exec(name) ?? []
  return symbols && encodeBase64Url(decodeCrockford(symbols.toUpperCase()))
}

/** A token as it stands in a name: 26 lower-case symbols. */
export function symbolsOf(token: string): string {
  return encodeCrockford(decodeBase64Url(token)).toLowerCase()
}
