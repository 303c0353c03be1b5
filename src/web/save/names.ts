import { cleanText } from '../../client/index.ts'

/** The longest name, in UTF-16 units, before the extension. */
const NAME_MAX = 120
/** Names that Windows keeps for devices. */
const RESERVED = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\.|$)/i

/** A name that a browser can save a file under: the last part of its path, without what no system takes. */
export function nameForDownload(path: string): string {
  return cleaned(path.split(/[/\\]/).at(-1) ?? '', /^[. ]+/)
}

/** A path inside an archive: each part made safe. A dot that begins a name stays, except in the first. */
export function pathInArchive(path: string): string {
  const [first = '', ...below] = path.split('/')
  return [nameForDownload(first), ...below.map((each) => cleaned(each, /^ +/))].join('/')
}

/** The same names, all different: of those that are equal in any case of letters, the second gets " (2)". */
export function distinct(names: readonly string[]): string[] {
  const taken = new Set<string>()
  const next = new Map<string, number>()
  return names.map((name) => {
    const [stem, extension] = parted(name)
    let n = next.get(name.toLowerCase()) ?? 2
    let made = name
    for (; taken.has(made.toLowerCase()); n++) made = `${stem} (${n})${extension}`
    next.set(name.toLowerCase(), n)
    taken.add(made.toLowerCase())
    return made
  })
}

function cleaned(part: string, leading: RegExp): string {
  const clean = cleanText(part, part.length)
    .replaceAll(/[\\/:*?"<>|]/g, '_')
    .replace(leading, '')
    .replace(/[. ]+$/, '')
  const [stem, extension] = parted(clean)
  const name = cut(stem) + extension
  if (name === '') return 'file'
  return RESERVED.test(name) ? `_${name}` : name
}

/** As much of a stem as a name may have, and no half of a character. */
function cut(stem: string): string {
  if (stem.length <= NAME_MAX) return stem
  const end = /[\uD800-\uDBFF]/.test(stem.charAt(NAME_MAX - 1)) ? NAME_MAX - 1 : NAME_MAX
  return stem.slice(0, end).replace(/[. ]+$/, '')
}

function parted(name: string): [stem: string, extension: string] {
  const extension = /(?<=[^/])(\.tar)?\.[A-Za-z0-9]{1,12}$/.exec(name)?.[0] ?? ''
  return [name.slice(0, name.length - extension.length), extension]
}
