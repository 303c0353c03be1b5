import { cleanText } from '../../client/index.ts'

/** The longest name, in UTF-16 units, before the extension. */
const NAME_MAX = 120
/** Names that Windows keeps for devices. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/** A name that a browser can save a file under: the last part of its path, without what no system takes. */
export function nameForDownload(path: string): string {
  const last = cleanText(path.split('/').at(-1) ?? '')
    .replaceAll(/[\\/:*?"<>|]/g, '_')
    .replace(/^[. ]+|[. ]+$/g, '')
  const extension = /\.[A-Za-z0-9]{1,12}$/.exec(last)?.[0] ?? ''
  const stem = last.slice(0, last.length - extension.length).slice(0, NAME_MAX)
  const name = stem + extension
  if (name === '') return 'file'
  return RESERVED.test(name) ? `_${name}` : name
}
