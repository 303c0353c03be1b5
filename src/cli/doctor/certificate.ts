import { once } from 'node:events'
import { isIP } from 'node:net'
import { connect, type DetailedPeerCertificate } from 'node:tls'
import { proxyFor, unusedProxy } from '../relay.ts'
import type { Finding } from './finding.ts'
import { reasonOf } from './front.ts'

const PATIENCE_MS = 15_000
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** A certificate that has less left, of its time or of these days, was not renewed when it should have been. */
const SOON = 1 / 4
const SOON_MS = 10 * DAY_MS

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
    const { left, isSoon } = timeOf(socket.getPeerCertificate(), now)
    const words = `${socket.getProtocol()}; ${chain.join(', signed by ')}; valid for ${left} more`
    if (socket.authorized && !isSoon) return { check, says: `${words}.` }
    const code = String(socket.authorizationError ?? '')
    const reason = REASONS.find(([pattern]) => pattern.test(code))?.[1] ?? (code || 'it ends soon, and was not renewed')
    return { check, fault: 'certificate', says: `${words}. It is not good: ${reason}.` }
  } catch (error) {
    const proxy = proxyFor(relay)
    if (proxy?.isUsed) return { check, says: `not looked at, because calls go through the proxy in ${proxy.name}.` }
    const says = `no connection with TLS comes about: ${reasonOf(error)}.${unusedProxy(relay)}`
    return { check, fault: 'no_answer', says }
  } finally {
    socket.destroy()
  }
}

/** Says how long a certificate is still good, and whether that is less than one has that is renewed in time. */
export function timeOf(certificate: { readonly valid_from: string; readonly valid_to: string }, now: number) {
  const [from, to] = [Date.parse(certificate.valid_from), Date.parse(certificate.valid_to)]
  const ms = Math.max(0, to - now)
  const left = ms < 2 * DAY_MS ? `${Math.floor(ms / HOUR_MS)} hours` : `${Math.floor(ms / DAY_MS)} days`
  return { left, isSoon: ms < Math.min(SOON_MS, SOON * (to - from)) }
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
