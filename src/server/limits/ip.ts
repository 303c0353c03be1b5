import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

export type IpAddress = ipaddr.IPv4 | ipaddr.IPv6

/**
 * Reads an IP address as Node writes it, or returns undefined. The zone of a link-local one may be any interface's name
 * (RFC 4007, section 11), which ipaddr.js does not take. A mapped IPv4 address stays IPv6.
 */
export function parseIp(text: string): IpAddress | undefined {
  if (isIP(text) === 0) return undefined
  const [address = '', zone] = text.split('%')
  const parsed = ipaddr.parse(address)
  if (zone !== undefined && parsed instanceof ipaddr.IPv6) parsed.zoneId = zone
  return parsed
}
