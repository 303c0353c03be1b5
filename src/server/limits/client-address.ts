import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import ipaddr from 'ipaddr.js'
import { WITHIN } from '../../relay/relay.ts'
import { remembered } from '../../store/remembered.ts'
import { type IpAddress, parseIp } from './ip.ts'

/** The address that limits count, in the form in which they count it. */
export interface ClientAddress {
  /** An IPv4 address, or the /64 of an IPv6 address: one customer of a network has all of it. Empty for who is exempt. */
  readonly counted: string
  /** The /48 of an IPv6 address, which one customer may have too. */
  readonly wider: string | undefined
}

/** Headers that name a client too, and that any client may send. */
const UNREAD_HEADERS = {
  forwarded: unread('Forwarded'),
  'x-real-ip': unread('X-Real-IP'),
  'x-client-ip': unread('X-Client-IP'),
  'true-client-ip': unread('True-Client-IP'),
  'cf-connecting-ip': unread('CF-Connecting-IP'),
  'fastly-client-ip': unread('Fastly-Client-IP'),
  'x-cluster-client-ip': unread('X-Cluster-Client-IP'),
  'x-original-forwarded-for': unread('X-Original-Forwarded-For'),
  'x-azure-clientip': unread('X-Azure-ClientIP'),
  'fly-client-ip': unread('Fly-Client-IP'),
  'do-connecting-ip': unread('DO-Connecting-IP'),
  'x-envoy-external-address': unread('X-Envoy-External-Address'),
} as const

const UNREAD = Object.keys(UNREAD_HEADERS) as (keyof typeof UNREAD_HEADERS)[]

/** Something about the addresses in a request that an operator should know. */
export type AddressWarning = keyof typeof ADDRESS_WARNINGS

export const ADDRESS_WARNINGS = {
  stranger:
    'X-Forwarded-For came from a proxy that TRUST_PROXY does not name: all its clients count as one client address',
  silent: 'A proxy in TRUST_PROXY sent no X-Forwarded-For: all its clients count as one client address',
  unreadable:
    'A proxy in TRUST_PROXY sent an X-Forwarded-For that is no address: all its clients count as one client address',
  kept: 'A proxy in TRUST_PROXY keeps idle connections for longer than the relay, which closed one: a request that came just then got 502. Its time-out has to be the shorter one',
  ...UNREAD_HEADERS,
} as const

function unread(header: string): string {
  const rule = 'only X-Forwarded-For of a proxy in TRUST_PROXY is'
  return `${header} names another client address than the one that counts, and is not read: ${rule}`
}

export type Network = readonly [IpAddress, number]

/** A client's address as it was seen, without the address. */
export interface AddressSeen {
  readonly family?: 4 | 6
  /** As ipaddr.js names it, such as `unicast`, `private` or `loopback`. `none` for an address that was not told. */
  readonly range: string
  readonly warnings: readonly AddressWarning[]
}

/** The /96 under which a NAT64 gateway puts the IPv4 addresses of its clients (RFC 6052). */
const NAT64 = ipaddr.IPv6.parse('64:ff9b::')

const NOBODY: ClientAddress = { counted: '', wider: undefined }

/** An address as the settings see it. */
interface KnownAddress {
  readonly address: IpAddress | undefined
  readonly isTrusted: boolean
  readonly counted: ClientAddress
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The address of the client, through the proxies that are trusted. */
    clientAddress: ClientAddress
  }
}

/** Gives each request its client address, and logs each warning about addresses once. */
export function nameClients(app: FastifyInstance, addresses: ClientAddresses): void {
  const unsaid = new Set(Object.keys(ADDRESS_WARNINGS) as AddressWarning[])
  app.server.on('timeout', (socket: Socket) => {
    addresses.endedIdle(socket)
    socket.destroy()
  })
  app.decorateRequest('clientAddress')
  app.addHook('onRequest', (request, _reply, done) => {
    request.clientAddress = addresses.of(request.raw)
    for (const warning of unsaid.size > 0 ? addresses.warnings(request.raw) : []) {
      if (unsaid.delete(warning)) app.log.warn(ADDRESS_WARNINGS[warning])
    }
    done()
  })
}

/** Tells the address of the client that made a request, through the proxies that are trusted. */
export class ClientAddresses {
  readonly #trusted: readonly Network[]
  readonly #exempt: readonly Network[]
  readonly #isUnixSocket: boolean
  readonly #known = remembered((text) => this.#look(text))
  /** Addresses that proxies told by the PROXY protocol. */
  readonly #told = new WeakMap<Socket, string>()
  /** Set once the relay, and not a proxy, has ended a connection for being idle. */
  #isKept = false
  /** The address of all clients there were; undefined once there were two. Empty for none. */
  #only: string | undefined = ''

  /**
   * Addresses and CIDR networks: of proxies whose X-Forwarded-For counts, and of clients that nothing counts. On a unix socket
   * the other end, which has no address, is a proxy: whoever may open the socket's file.
   */
  constructor(trusted: readonly string[], exempt: readonly string[] = [], isUnixSocket = false) {
    this.#isUnixSocket = isUnixSocket
    this.#trusted = trusted.map(networkOf)
    this.#exempt = exempt.map(networkOf)
  }

  /** Reports whether a connection from this address comes from a trusted proxy. */
  isTrusted(remoteAddress: string | undefined): boolean {
    return this.#known(remoteAddress ?? '').isTrusted
  }

  /** Takes the address of a connection's client as its proxy told it by the PROXY protocol. */
  told(socket: Socket, address: string): void {
    this.#told.set(socket, address)
  }

  /** Notes that the relay ends a connection that was idle for too long. */
  endedIdle({ remoteAddress }: Socket): void {
    this.#isKept ||= this.isTrusted(remoteAddress)
  }

  /** The address of the other end of a connection, which no header changes. */
  ofConnection(remoteAddress: string | undefined): ClientAddress {
    return this.#known(remoteAddress ?? '').counted
  }

  /**
   * The address of the client: the last one of X-Forwarded-For that no trusted proxy has. An entry that is no address
   * counts as the proxy that wrote it.
   */
  of(request: IncomingMessage): ClientAddress {
    const { counted } = this.#clientOf(request)
    if (this.#only === '') this.#only = counted.counted
    else if (counted.counted !== this.#only && counted.counted !== '') this.#only = undefined
    return counted
  }

  /** Tells a client how its address came here, and of what class it is: nothing that it does not know of itself. */
  describe(request: IncomingMessage): AddressSeen {
    const { address: client } = this.#clientOf(request)
    const family = client instanceof ipaddr.IPv4 ? 4 : 6
    const warnings = [...this.warnings(request)]
    return client ? { family, range: withoutNat64(client).range(), warnings } : { range: 'none', warnings }
  }

  /** Reports whether the client of a request is in one of these networks. */
  isFrom(networks: readonly Network[], request: IncomingMessage): boolean {
    const { address } = this.#clientOf(request)
    return address !== undefined && isInAny(networks, withoutNat64(address))
  }

  /** Reports whether all requests came from one client address, as those of a proxy do that is not trusted. */
  get isOne(): boolean {
    return this.#only !== undefined
  }

  /** The warnings that this request gives reason for. */
  *warnings(request: IncomingMessage): Generator<AddressWarning> {
    const { headers, socket } = request
    const forwarded = forwardedFor(request)
    const told = this.#told.get(socket)
    if (!this.isTrusted(told ?? socket.remoteAddress)) {
      if (forwarded.length > 0) yield 'stranger'
    } else if (forwarded.length === 0) {
      // A proxy checks the health of a relay for nobody.
      if (told === undefined && request.url?.startsWith('/v1/')) yield 'silent'
    } else if (addressOf(forwarded.at(-1)) === undefined) {
      yield 'unreadable'
    }
    if (this.#isKept && forwarded.length > 0 && this.isTrusted(socket.remoteAddress)) yield 'kept'
    for (const header of UNREAD) {
      if (headers[header] === undefined) continue
      const counted = this.#clientOf(request).address?.toString()
      const named = namedIn(header, String(headers[header]))
      if (named.length > 0 && !named.some((each) => addressOf(each)?.toString() === counted)) yield header
    }
  }

  #clientOf(request: IncomingMessage): KnownAddress {
    // A connection that has just ended has no address, nor has one on a unix socket.
    let client = this.#known(this.#told.get(request.socket) ?? request.socket.remoteAddress ?? '')
    for (const entry of forwardedFor(request).reverse()) {
      if (!client.isTrusted) break
      const next = this.#known(entry)
      if (!next.address) break
      client = next
    }
    return client
  }

  #look(text: string): KnownAddress {
    const address = addressOf(text)
    if (!address) return { address, isTrusted: this.#isUnixSocket, counted: NOBODY }
    const counting = withoutNat64(address)
    const counted = isInAny(this.#exempt, counting) ? NOBODY : countedOf(counting)
    return { address, isTrusted: isInAny(this.#trusted, address), counted }
  }
}

/** Reads an address or a network in CIDR notation. */
export function networkOf(text: string): Network {
  const [address = '', prefix] = text.split('/')
  const parsed = addressOf(address) ?? ipaddr.parse(address)
  return [parsed, prefix === undefined ? (parsed instanceof ipaddr.IPv4 ? 32 : 128) : Number(prefix)]
}

function isInAny(networks: readonly Network[], address: IpAddress): boolean {
  return networks.some((network) => isIn(network, address))
}

function isIn([network, prefix]: Network, address: IpAddress): boolean {
  if (network instanceof ipaddr.IPv4) return address instanceof ipaddr.IPv4 && address.match(network, prefix)
  if (address instanceof ipaddr.IPv4) return false
  return address.match(network, prefix) && (!network.zoneId || network.zoneId === address.zoneId)
}

function forwardedFor({ headers }: IncomingMessage): string[] {
  const value = headers['x-forwarded-for']
  const entries = Array.isArray(value) ? value.join(',') : (value ?? '')
  return entries.trim() === '' ? [] : entries.split(',')
}

function namedIn(header: string, value: string): string[] {
  if (value === '') return []
  if (header !== 'forwarded') return [value]
  return [...value.matchAll(/for="?([^;,"]*)/gi)].map(([, named = '']) => named)
}

/** An address as proxies write it: bare, in brackets, with a port. A mapped IPv4 address is an IPv4 address. */
function addressOf(text = ''): IpAddress | undefined {
  const trimmed = text.trim()
  const [, bare = trimmed] =
    /^\[([^\]]+)\](?::\d{1,5})?$/.exec(trimmed) ?? /^(\d+\.\d+\.\d+\.\d+):\d{1,5}$/.exec(trimmed) ?? []
  const parsed = parseIp(bare)
  return parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress() ? parsed.toIPv4Address() : parsed
}

function withoutNat64(address: IpAddress): IpAddress {
  if (address instanceof ipaddr.IPv4 || !address.match(NAT64, 96)) return address
  return ipaddr.fromByteArray(address.toByteArray().slice(12))
}

function countedOf(address: IpAddress): ClientAddress {
  if (address instanceof ipaddr.IPv4) return { counted: address.toString(), wider: undefined }
  const { parts } = address
  const network = (count: number) =>
    new ipaddr.IPv6([...parts.slice(0, count), ...Array<number>(8 - count).fill(0)]).toString()
  return { counted: network(4), wider: `${network(3)}/48` }
}

/** A client address as the domain takes it: behind the wider network that it is part of, if it is of one. */
export function addressText({ counted, wider }: ClientAddress): string {
  return wider === undefined ? counted : wider + WITHIN + counted
}
