import { type PairingCode, PairingCodeError, parsePairingCode } from '../crypto/pairing-code.ts'
import { relayUrl } from './calls/relay-api.ts'
import { PairingError } from './errors.ts'

/** Entry of a session: a code and its relay, or a link that names both. */
export interface CodeEntry {
  /** The code as the person typed it, or the sender's link. */
  readonly code?: string | undefined
  /** The sender's link, in place of a code. */
  readonly link?: string | undefined
  /** The relay's address, such as https://relay.example. A link has it already. */
  readonly relay?: string | undefined
}

/**
 * The code, and the relay that it is of. Throws PairingError `code_invalid`, `relay_unreachable` for what is no address, and
 * TypeError for what is no entry.
 */
export function parseEntry(entry: CodeEntry): { code: PairingCode; relay: string } {
  const { link, relay, code = link } = entry
  if (typeof code !== 'string' || (link ?? code) !== code) throw new TypeError('give a code or a link, as a text')
  const [address = '', fragment] = code.trim().split('#', 2)
  if (fragment === undefined && (link !== undefined || /^https?:/i.test(address))) {
    throw new PairingError('code_invalid', { detail: 'The code of a link is behind a #, and here is none.' })
  }
  // Without a relay, the relay's own check says what is missing.
  if (fragment === undefined || address === '')
    return { code: parseCode(unescaped(fragment ?? code)), relay: relay as string }
  const linked = relayUrl(address)
  if (relay !== undefined && relayUrl(relay) !== linked) {
    throw new PairingError('code_invalid', { detail: 'This link is of another relay.' })
  }
  return { code: parseCode(unescaped(fragment)), relay: linked }
}

/** A link's code without percent signs, or as it is where they stand for nothing, and without what trackers add behind it. */
function unescaped(fragment: string): string {
  const code = fragment.replace(/[?&].*$/, '')
  try {
    return decodeURIComponent(code)
  } catch {
    return code
  }
}

function parseCode(text: string): PairingCode {
  try {
    return parsePairingCode(text)
  } catch (error) {
    if (error instanceof PairingCodeError) {
      throw new PairingError('code_invalid', { detail: error.message, cause: error })
    }
    throw error
  }
}
