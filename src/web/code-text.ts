import { PairingCodeError, parsePairingCode } from '../crypto/pairing-code.ts'
import { WORDS } from './words.ts'

/** Reading of what a person types, pastes or scans as a code. */

export const SYMBOLS = 11
const BEFORE_DASH = 5

export const REASONS = { symbol: WORDS.codeLetters, length: WORDS.codeLength, check: WORDS.codeWrong } as const

/** A link, and the part of it that may be a code. */
interface Link {
  /** The relay whose page it opens. */
  readonly place: string
  readonly code: string
}

/** Reads a link to a page with a code. Undefined for any other text. */
export function linkIn(text: string): Link | undefined {
  const trimmed = text.trim()
  if (!/^https?:\/\/\S+#\S+$/i.test(trimmed) || !URL.canParse(trimmed)) return undefined
  const url = new URL(trimmed)
  const code = decodedHash(url.hash)
  url.hash = ''
  return { place: new URL('.', url).href.replace(/\/$/, ''), code }
}

/** Decodes the fragment of an address; nothing where it is no text. */
export function decodedHash(hash: string): string {
  try {
    return decodeURIComponent(hash.replace(/^#/, ''))
  } catch {
    return ''
  }
}

/** Upper case, with a dash after five symbols. A pasted link gives the code in it. */
export function tidy(text: string): string {
  const upper = (linkIn(text)?.code ?? text).toUpperCase()
  const plain = upper.replaceAll(/[\s-]/g, '')
  if (plain.length < BEFORE_DASH || /[^0-9A-Z]/.test(plain)) return upper
  if (plain.length === BEFORE_DASH) return upper.endsWith('-') ? `${plain}-` : plain
  return `${plain.slice(0, BEFORE_DASH)}-${plain.slice(BEFORE_DASH)}`
}

/** Says what is wrong with a code; undefined for one that can be right. */
export function faultOf(text: string): string | undefined {
  try {
    parsePairingCode(text)
    return undefined
  } catch (error) {
    if (!(error instanceof PairingCodeError)) throw error
    return REASONS[error.reason]
  }
}

export function isCode(text: string): boolean {
  return faultOf(text) === undefined
}

export function symbolsIn(text: string): number {
  return text.replaceAll(/[^0-9A-Za-z]/g, '').length
}

export type Scanned =
  | { readonly is: 'code'; readonly code: string }
  /** The code of another relay. */
  | { readonly is: 'elsewhere'; readonly place: string }
  | { readonly is: 'nothing' }

/** Reads a QR code for a page of this relay. */
export function scanned(text: string, relay: string): Scanned {
  const link = linkIn(text)
  if (!link) return isCode(text) ? { is: 'code', code: tidy(text) } : { is: 'nothing' }
  if (!isCode(link.code)) return { is: 'nothing' }
  return link.place === relay ? { is: 'code', code: tidy(link.code) } : { is: 'elsewhere', place: link.place }
}
