import { type PairingCode, PairingCodeError, parsePairingCode } from '../crypto/pairing-code.ts'
import { relayUrl } from './calls/relay-api.ts'
import { PairingError } from './errors.ts'

/** The code, and the relay that it is of: a link names both. */
export function parseEntry({ code, relay }: { readonly code: string; readonly relay?: string | undefined }): {
  code: PairingCode
  relay: string
} {
  const [address = '', fragment] = code.trim().split('#', 2)
  // Without a relay, the relay's own check says what is missing.
  if (fragment === undefined || address === '')
    return { code: parseCode(unescaped(fragment ?? code)), relay: relay as string }
  const linked = relayUrl(address)
  if (relay !== undefined && relayUrl(relay) !== linked) {
    throw new PairingError('code_invalid', { detail: 'This link is of another relay.' })
  }
  return { code: parseCode(unescaped(fragment)), relay: linked }
}

/** A link's fragment without percent signs, or as it is where they stand for nothing. */
function unescaped(fragment: string): string {
  try {
    return decodeURIComponent(fragment)
  } catch {
    return fragment
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
