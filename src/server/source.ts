import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import ipaddr from 'ipaddr.js'

/**
 * Whom a limit per source counts, as text: an IPv4 address, or the /64 that an IPv6 address is in, as one customer of a
 * network has all of it. Of what came through a proxy that is trusted (`TRUST_PROXY`) it is the address that the proxy
 * gives; a word that is no address counts as the proxy's own.
 */
export function sourceOf({ ip, raw }: Pick<FastifyRequest, 'ip' | 'raw'>): string {
  const address = isIP(ip) === 0 ? raw.socket.remoteAddress : ip
  // Without an address the connection has just ended.
  if (address === undefined) return ''
  const parsed = ipaddr.process(address)
  if (!(parsed instanceof ipaddr.IPv6)) return parsed.toString()
  return new ipaddr.IPv6([...parsed.parts.slice(0, 4), 0, 0, 0, 0]).toString()
}

/** Whether a request says for whom it was forwarded, and the one who says so is not trusted. */
export function isForwardedByStranger({ ips = [], raw }: Pick<FastifyRequest, 'ips' | 'raw'>): boolean {
  // The first is the one who is connected, and those that are believed come after it.
  return raw.headers['x-forwarded-for'] !== undefined && ips.length <= 1
}
