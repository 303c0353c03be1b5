/** An archive whose files are stored as they are, with 64-bit sizes where they are needed: APPNOTE.TXT of PKWARE, 6.3. */

export interface ZipEntry {
  /** A path with `/`. That of a folder ends with one. */
  readonly path: string
  readonly size: number
  readonly crc: number
  /** Milliseconds since 1970. */
  readonly modified: number | undefined
  readonly isExecutable: boolean
}

const MAX_32 = 0xffff_ffff
const MAX_16 = 0xffff
const VERSION = 45
/** Names are UTF-8. */
const FLAGS = 0x800
const UNIX = 3
const utf8 = new TextEncoder()

/** Goes before the bytes of an entry. Its length depends on the path and the size alone. */
export function localHeader(entry: ZipEntry): Uint8Array<ArrayBuffer> {
  const isLong = entry.size >= MAX_32
  const size = isLong ? MAX_32 : entry.size
  return record((out) => {
    out.u32(0x04034b50).u16(VERSION)
    common(out, entry, size, isLong ? 20 : 0)
    out.bytes(utf8.encode(entry.path))
    if (isLong) out.u16(1).u16(16).u64(entry.size).u64(entry.size)
  })
}

/** Ends an archive: its directory. `offsets` tells where the local header of each entry is, `at` where this comes. */
export function directory(
  entries: readonly ZipEntry[],
  offsets: readonly number[],
  at: number,
): Uint8Array<ArrayBuffer> {
  return record((out) => {
    for (const [index, entry] of entries.entries()) central(out, entry, offsets[index] ?? 0)
    const size = out.length
    const count = entries.length
    if (count >= MAX_16 || size >= MAX_32 || at >= MAX_32) {
      out
        .u32(0x06064b50)
        .u64(44)
        .u16((UNIX << 8) | VERSION)
        .u16(VERSION)
        .u32(0)
        .u32(0)
      out.u64(count).u64(count).u64(size).u64(at)
      out
        .u32(0x07064b50)
        .u32(0)
        .u64(at + size)
        .u32(1)
    }
    const short = Math.min(count, MAX_16)
    out.u32(0x06054b50).u16(0).u16(0).u16(short).u16(short)
    out.u32(Math.min(size, MAX_32)).u32(Math.min(at, MAX_32)).u16(0)
  })
}

function central(out: Writer, entry: ZipEntry, offset: number): void {
  const isLong = entry.size >= MAX_32
  const isFar = offset >= MAX_32
  const long = (isLong ? 16 : 0) + (isFar ? 8 : 0)
  const isFolder = entry.path.endsWith('/')
  const mode = isFolder ? 0o40755 : entry.isExecutable ? 0o100755 : 0o100644
  out
    .u32(0x02014b50)
    .u16((UNIX << 8) | VERSION)
    .u16(VERSION)
  common(out, entry, isLong ? MAX_32 : entry.size, long === 0 ? 0 : long + 4)
  out
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(mode * 0x10000 + (isFolder ? 0x10 : 0))
  out.u32(isFar ? MAX_32 : offset).bytes(utf8.encode(entry.path))
  if (long > 0) out.u16(1).u16(long)
  if (isLong) out.u64(entry.size).u64(entry.size)
  if (isFar) out.u64(offset)
}

/** The fields that both headers have, from the flags to the length of the extra field. */
function common(out: Writer, { path, crc, modified }: ZipEntry, size: number, extra: number): void {
  const [date, time] = dosTime(modified)
  out.u16(FLAGS).u16(0).u16(time).u16(date).u32(crc).u32(size).u32(size)
  out.u16(utf8.encode(path).length).u16(extra)
}

/** By the local clock, as DOS had it: from 1980 to 2107, every two seconds. */
function dosTime(modified = Date.now()): [date: number, time: number] {
  const at = new Date(modified)
  const year = at.getFullYear() - 1980
  if (!(year >= 0)) return [(1 << 5) | 1, 0]
  if (year > 127) return [(127 << 9) | (12 << 5) | 31, 0]
  return [
    (year << 9) | ((at.getMonth() + 1) << 5) | at.getDate(),
    (at.getHours() << 11) | (at.getMinutes() << 5) | (at.getSeconds() >> 1),
  ]
}

function record(write: (out: Writer) => void): Uint8Array<ArrayBuffer> {
  const out = new Writer()
  write(out)
  return out.take()
}

/** Numbers with their lowest byte first. */
class Writer {
  #bytes = new Uint8Array(1024)
  length = 0

  u16 = (value: number): this => this.#number(value, 2)
  u32 = (value: number): this => this.#number(value, 4)
  u64 = (value: number): this => this.#number(value, 8)

  bytes(bytes: Uint8Array): this {
    this.#grow(bytes.length)
    this.#bytes.set(bytes, this.length)
    this.length += bytes.length
    return this
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.length)
  }

  #number(value: number, bytes: number): this {
    this.#grow(bytes)
    for (let n = 0, left = value; n < bytes; n++, left = Math.floor(left / 256)) this.#bytes[this.length++] = left % 256
    return this
  }

  #grow(by: number): void {
    if (this.length + by <= this.#bytes.length) return
    const more = new Uint8Array(Math.max(this.#bytes.length * 2, this.length + by))
    more.set(this.#bytes)
    this.#bytes = more
  }
}
