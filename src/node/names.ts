import { shown } from './shown.ts'

/** A longer name is cut, before its extension: a number and `.1.part` then fit into the 255 bytes of most file systems. */
const NAME_MAX_BYTES = 240
/** Most file systems take this. */
export const FILE_NAME_BYTES = 255

/** Stands for nothing at all at the beginning or the end of a name. */
const BLANK = String.raw`\s\u2800`
const LEADING = new RegExp(`^[.${BLANK}-]+`, 'u')
const TRAILING = new RegExp(`[.${BLANK}]+$`, 'u')
/** Windows takes these for devices, whatever follows the first dot. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\.|$)/i
/** An extension has a letter. What was compressed, enciphered or signed has another one before it. */
const EXTENSION =
  /(?<=.)(?:\.[\p{L}\p{N}]{1,5}(?=\.(?:gz|bz2|xz|zst|lz|lz4|lzma|br|z|gpg|pgp|age|asc|sig|enc)$))?\.(?=[^.]*\p{L})[\p{L}\p{N}_+-]{1,16}$/iu

/**
 * A name from a peer as one that is safe to create in a directory: no path, no hidden file, nothing invisible, nothing that
 * a terminal obeys or another operating system trips over, and no command that a shell would run within double quotes.
 */
export function safeName(name: string): string {
  return cleaned(name.split(/[/\\]/).at(-1) ?? '', LEADING)
}

/** A segment below the first of a path, made safe as `safeName` does. A leading dot stays. */
export function safeSegment(segment: string): string {
  return cleaned(segment.replaceAll('\\', '_'), /^-+/)
}

function cleaned(name: string, leading: RegExp): string {
  const clean = shown(name)
    .replaceAll(/[<>:"|?*`]|\$(?=\()/g, '_')
    .replace(new RegExp(`^[${BLANK}]+`, 'u'), '')
    .replace(leading, '_')
    .replace(TRAILING, '')
  // A name that was cut may look like a device afterwards.
  const safe = fitting(noDevice(fitting(noDevice(clean))))
  return safe === '' || safe === '_' ? 'received' : safe
}

function noDevice(name: string): string {
  return DEVICE.test(name) ? `_${name}` : name
}

/** 'report.final.pdf' → 'report.final (2).pdf'. */
export function numbered(name: string, n: number): string {
  const [stem, extension] = parted(name)
  return `${stem} (${n})${extension}`
}

function parted(name: string): [stem: string, extension: string] {
  const { index } = EXTENSION.exec(name) ?? { index: name.length }
  return [name.slice(0, index), name.slice(index)]
}

/** The name within NAME_MAX_BYTES, its extension kept. */
function fitting(name: string): string {
  if (Buffer.byteLength(name) <= NAME_MAX_BYTES) return name
  const [stem, extension] = parted(name)
  return (beginning(stem, NAME_MAX_BYTES - Buffer.byteLength(extension)).replace(TRAILING, '') || '_') + extension
}

/** As much of a text as fits. What a reader takes for one character is kept or goes as a whole. */
export function beginning(text: string, maxBytes: number): string {
  if (Buffer.byteLength(text) <= maxBytes) return text
  let room = maxBytes
  let end = 0
  for (const { segment, index } of new Intl.Segmenter().segment(text)) {
    room -= Buffer.byteLength(segment)
    if (room < 0) break
    end = index + segment.length
  }
  return text.slice(0, end)
}
