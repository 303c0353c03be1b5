import type { PairingErrorCode } from '../errors.ts'

/** The codes that runtimes with OpenSSL have for a certificate they do not accept, in words. */
const UNTRUSTED = {
  SELF_SIGNED: 'self-signed',
  'ALTNAME|HOSTNAME': 'for another name',
  EXPIRED: 'expired',
  NOT_YET: 'not valid yet',
  'ISSUER_CERT|VERIFY_LEAF': 'of an unknown authority',
  '^(CERT_|INVALID_|UNSPECIFIED)': 'not valid for a server',
}

/** The kind of a failed connection, where the runtime tells: no browser does. */
export function connectionFailure(error: unknown): { code?: PairingErrorCode; detail?: string } {
  for (let each = error; each instanceof Error; each = each.cause) {
    const code = 'code' in each ? String(each.code) : ''
    const untrusted = Object.entries(UNTRUSTED).find(([pattern]) => RegExp(pattern).test(code))
    if (untrusted) return { code: 'relay_untrusted', detail: `It is ${untrusted[1]}.` }
    if (/SSL_(WRONG|PACKET)|EPROTO/.test(code)) return { detail: 'There is no TLS: the address may be http://.' }
    if (/HPE_/.test(code)) return { detail: 'There is no HTTP: the address may be https://.' }
  }
  return {}
}
