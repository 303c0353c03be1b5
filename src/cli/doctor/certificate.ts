import { once } from 'node:events'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import type { Finding } from './finding.ts'
import { reasonOf } from './front.ts'

const PATIENCE_MS = 15_000
const DAY_MS = 86_400_000
/** A certificate that ends sooner was not renewed in time. */
const SOON_DAYS = 10

/** Why OpenSSL accepts no certificate, in words. */
const REASONS: readonly (readonly [RegExp, string])[] = [
  [/SELF_SIGNED/, 'it is signed by an authority that this machine does not know'],
  [/ALTNAME/, 'it is for another name'],
  [/EXPIRED/, 'it has expired'],
  [/NOT_YET/, 'it is not valid yet: look at the clocks'],
  [/LEAF_SIGNATURE|ISSUER_CERT/, 'the certificate of its authority is not sent along, or unknown'],
]

/** Says who a relay's certificate is of, who signed it and how long it is valid. */
export async function checkCertificate(relay: string, now: number): Promise<Finding> {
  const { hostname, port, protocol } = new URL(relay)
  const check = 'TLS'
  if (protocol !== 'https:') {
    const isHere = /^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)
    if (isHere) return { check, says: 'none is needed on this machine.' }
    return {
      check,
      fault: 'no_tls',
      says: 'there is none: anybody on the way can change the page, and disturb pairings.',
    }
  }
  const host = hostname.replace(/^\[|\]$/g, '')
  const servername = isIP(host) ? '' : host
  const socket = connect({ host, port: Number(port || 443), servername, rejectUnauthorized: false })
  try {
    await once(socket, 'secureConnect', { signal: AbortSignal.timeout(PATIENCE_MS) })
    const chain = chainOf(socket.getPeerCertificate(true))
    const days = Math.floor((Date.parse(socket.getPeerCertificate().valid_to) - now) / DAY_MS)
    const words = `${socket.getProtocol()}; ${chain.join(', signed by ')}; valid for ${days} more days`
    if (socket.authorized && days >= SOON_DAYS) return { check, says: `${words}.` }
    const code = String(socket.authorizationError ?? '')
    const reason = REASONS.find(([pattern]) => pattern.test(code))?.[1] ?? (code || 'it ends soon')
    return { check, fault: 'certificate', says: `${words}. It is not good: ${reason}.` }
  } catch (error) {
    return { check, fault: 'no_answer', says: `no connection with TLS comes about: ${reasonOf(error)}.` }
  } finally {
    socket.destroy()
  }
}

/** Names of a certificate and of those that signed it, as far as they were sent or are known. */
function chainOf(leaf: DetailedPeerCertificate): string[] {
  const names: string[] = []
  for (let each = leaf; names.length < 8; each = each.issuerCertificate) {
    names.push(nameIn(each.subject, each.subjectaltname?.split(', ')[0]))
    if (!each.issuerCertificate || each.issuerCertificate === each) {
      if (nameIn(each.issuer) !== names.at(-1)) names.push(nameIn(each.issuer))
      break
    }
  }
  return names
}

function nameIn(name: { CN?: string | string[]; O?: string | string[] } = {}, otherwise = 'nobody'): string {
  return String(name.CN ?? name.O ?? otherwise).replace(/[^\x20-\x7e]/g, '?')
}
