import type { Received } from '../../browser/index.ts'
import { type Entry, indexed, type List } from '../../client/index.ts'
import { distinct, nameForDownload, pathInArchive } from './names.ts'
import { directory, localHeader, type ZipEntry } from './zip.ts'

/** More files than these become one archive: nobody wants so many downloads, and browsers drop some. */
const FILES_MAX = 100
const ARCHIVE = 'Received.zip'

/** A file that a person gets: one entry as it is, or an archive of several. */
export interface Thing {
  readonly name: string
  readonly isArchive: boolean
  /** Indexes of its entries. */
  readonly entries: readonly number[]
}

/** A file that can be handed out. */
export interface Ready {
  readonly name: string
  readonly blob: Blob
  /** As the sender says; only for where it has to be known. */
  readonly type: string
}

/** The files that come of an offer. A folder is one. */
export function thingsOf(entries: List<Entry>): Thing[] {
  const groups = new Map<string, number[]>()
  for (const [index, { path }] of indexed(entries)) {
    const [first = path] = path.split('/', 1)
    const group = groups.get(first)
    if (group) group.push(index)
    else groups.set(first, [index])
  }
  if (groups.size > FILES_MAX) return [{ name: ARCHIVE, isArchive: true, entries: [...groups.values()].flat() }]
  const things = [...groups].map(([first, indexes]) => {
    const isArchive = indexes.some((index) => entries.at(index)?.dir || entries.at(index)?.path !== first)
    return { name: nameForDownload(first) + (isArchive ? '.zip' : ''), isArchive, entries: indexes }
  })
  const names = distinct(things.map(({ name }) => name))
  return things.map((thing, index) => ({ ...thing, name: names[index] ?? thing.name }))
}

/** Reports whether any of the files is an archive, which needs the CRC-32 of what is in it. */
export function hasArchives(entries: List<Entry>): boolean {
  return thingsOf(entries).some(({ isArchive }) => isArchive)
}

/** The entries of an archive as they are named in it, in the order of `indexes`. Sizes are as offered; the CRC is 0. */
export function archived(entries: List<Entry>, indexes: readonly number[]): ZipEntry[] {
  const paths = distinct(indexes.map((index) => pathInArchive(entries.at(index)?.path ?? '')))
  return indexes.map((index, at) => {
    const { dir, size = 0, modified, x = false } = entries.at(index) ?? {}
    return { path: `${paths[at]}${dir ? '/' : ''}`, size, crc: 0, modified, isExecutable: x }
  })
}

/** Makes the files of an offer from the parts that came of it, with their CRC-32 where they go into an archive. An archive's bytes stay where they are: it is put together of them. */
export function readyFiles({ entries, files }: Omit<Received, 'entries'> & { readonly entries: List<Entry> }): Ready[] {
  return thingsOf(entries).flatMap(({ name, isArchive, entries: indexes }): Ready[] => {
    const [only = 0] = indexes
    const type = entries.at(only)?.type ?? ''
    if (isArchive) return [{ name, blob: archive(entries, indexes, files), type: 'application/zip' }]
    const blob = files.get(only)?.blob
    return blob ? [{ name, blob, type }] : []
  })
}

function archive(entries: List<Entry>, indexes: readonly number[], parts: Received['files']): Blob {
  const pieces: BlobPart[] = []
  const listed: ZipEntry[] = []
  const offsets: number[] = []
  let at = 0
  const add = (piece: Uint8Array<ArrayBuffer> | Blob) => {
    pieces.push(piece)
    at += piece instanceof Blob ? piece.size : piece.length
  }
  for (const [n, entry] of archived(entries, indexes).entries()) {
    const part = parts.get(indexes[n] ?? -1)
    // Entries that were skipped are left out.
    if (!part && !entry.path.endsWith('/')) continue
    const zipped = { ...entry, size: part?.blob.size ?? 0, crc: part?.checksum ?? 0 }
    listed.push(zipped)
    offsets.push(at)
    add(localHeader(zipped))
    if (part) add(part.blob)
  }
  add(directory(listed, offsets, at))
  return new Blob(pieces)
}
