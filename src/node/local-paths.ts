import { join } from 'node:path'
import type { Entry } from '../client/index.ts'
import { decodeCrockford, encodeCrockford } from '../crypto/encoding.ts'
import { decodeBase64Url, encodeBase64Url } from '../protocol/text.ts'
import { beginning, FILE_NAME_BYTES, numbered, safeName, safeSegment } from './names.ts'

/** Names on this disk for what an offer brings. */

const PART = /\.([0-9a-hjkmnp-tv-z]{26})\.part$/
/** Length that most systems take for a whole path, less room for the directory that it is in. */
const PATH_MAX_BYTES = 3500

/**
 * Where each entry goes, relative to the directory: every segment cleaned, and made another name where two would be one
 * after NFC and lower-casing, at every level and on every file system. `nameOf` chooses the name of a thing.
 */
export function localPaths(entries: readonly Entry[], nameOf = safeName): string[] {
  /** By folder as the offerer calls it: where it is here, and its names. */
  const folders = new Map<
    string,
    { readonly path: string; readonly names: Map<string, string>; readonly taken: Set<string> }
  >()
  folders.set('', { path: '', names: new Map(), taken: new Set() })
  return entries.map(({ path }) => {
    const segments = path.split('/')
    let folder = folders.get('')
    let local = ''
    for (const [depth, segment] of segments.entries()) {
      if (!folder) throw new Error('a folder has an entry')
      let name = folder.names.get(segment)
      if (name === undefined) {
        name = free(depth === 0 ? nameOf(segment) : safeSegment(segment), folder.taken)
        folder.names.set(segment, name)
      }
      local = join(folder.path, name)
      const id = segments.slice(0, depth + 1).join('/')
      const below = folders.get(id) ?? { path: local, names: new Map(), taken: new Set<string>() }
      folders.set(id, below)
      folder = below
    }
    if (Buffer.byteLength(local) > PATH_MAX_BYTES) throw new RangeError('the path is too long for this disk')
    return local
  })
}

/** The temporary path: the thing's name with the token behind it, cut where it would be too long. */
export function partPath(local: string, token: string): string {
  const [thing = '', ...below] = local.split(/[/\\]/)
  const suffix = `.${symbolsOf(token)}.part`
  return join(beginning(thing, FILE_NAME_BYTES - suffix.length) + suffix, ...below)
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

function free(name: string, taken: Set<string>): string {
  const key = (text: string) => text.normalize('NFC').toLowerCase()
  let unique = name
  for (let n = 2; taken.has(key(unique)); n++) unique = numbered(name, n)
  taken.add(key(unique))
  return unique
}
