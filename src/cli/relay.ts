import { PairingError, RelayRefusal, RelayUnreachable, relayUrl } from '../client/index.ts'
import { CliError, exitOf } from './exit.ts'
import { readSettings } from './settings.ts'
import type { Terminal } from './terminal.ts'

/** The relay of whoever names none: on this machine. */
export const DEFAULT_RELAY = 'http://127.0.0.1:8080'

/**
 * The relay to use: of the command line, or the environment, or the settings, or on this machine. Throws CliError for what
 * cannot be one.
 */
export function relayFrom(option: string | undefined): string {
  if (option !== undefined) return relayAddress(option, 'The value of --relay')
  const variable = process.env.PAIRLAY_RELAY
  if (variable) return relayAddress(variable, 'PAIRLAY_RELAY')
  const { relay } = readSettings()
  return relay === undefined ? DEFAULT_RELAY : relayAddress(relay, 'The relay of `pairlay config`')
}

/** No address is as long. */
const ADDRESS_MAX = 2_048

/**
 * Returns a relay's address without a query, a fragment or a slash behind it. Throws CliError with what is wrong. Its text
 * is not repeated: it may hold a password.
 */
export function relayAddress(text: string, source: string): string {
  const wrong = faultOf(text)
  if (wrong) throw new CliError(`${source} ${wrong}. A relay address looks like https://relay.example.`, 'usage')
  return relayUrl(text)
}

/** Returns what is wrong with an address, or undefined for one that a relay can have. */
function faultOf(text: string): string | undefined {
  if (text.trim() === '') return 'is empty'
  if (text.length > ADDRESS_MAX) return 'is too long'
  const [, scheme] = /^\s*([a-z][a-z0-9+.-]{0,20}):\/\//i.exec(text) ?? []
  if (scheme === undefined) return 'has no http:// or https:// in front'
  if (!/^https?$/i.test(scheme)) return `begins with ${scheme.toLowerCase()}:// instead of http:// or https://`
  if (!URL.canParse(text)) return 'has a host or a port that cannot be'
  const { username, password } = new URL(text)
  return username || password ? 'has a user name or a password, which no relay takes' : undefined
}

/** Says it when the way to a relay on another machine is open to whoever is on it. */
export function warnOfPlainHttp(relay: string, terminal: Pick<Terminal, 'event' | 'say'>): void {
  const { protocol, hostname, host } = new URL(relay)
  if (protocol === 'https:' || isLoopback(relay) || /^(0\.0\.0\.0|\[::\])$/.test(hostname)) return
  const line = `http:// to ${host} has no TLS: others on the way can disturb this pairing, though not read what is sent.`
  terminal.event('plain_http', { relay }, line)
}

/** Reports whether an address is one that no other machine reaches. */
export function isLoopback(address: string): boolean {
  return /^(localhost|127\.[\d.]+|\[::1\])$/.test(new URL(address).hostname)
}

/**
 * Returns what ended a command, in words that name the relay where they have to. `approved` is whether a device was: from
 * then on there is nothing left but delivered or not.
 */
export function failureOf(error: unknown, relay: string, approved: boolean): unknown {
  if (!(error instanceof PairingError)) return error
  const { code, cause } = error
  const { origin, pathname } = new URL(relay)
  const refusal = cause instanceof RelayRefusal ? cause.code : undefined
  if (pathname !== '/' && refusal === 'not_found') {
    const advice = `There is no relay under this path of ${origin}. Most relays have none: try --relay ${origin}.`
    return new CliError(advice, 'usage', code)
  }
  const otherName = `The relay at ${origin} does not answer to this name. Its operator lets it with ALLOWED_HOSTS or TRUST_PROXY.`
  const message = refusal === 'forbidden' && !approved ? otherName : wordsFor(error, relay)
  return new CliError(message, exitOf(code, approved), code)
}

function wordsFor(error: PairingError, relay: string): string {
  const { code, message, detail = '' } = error
  const { origin } = new URL(relay)
  if (code === 'access_needed') return `${message} Name the file that it is in with --access-token-file.`
  if (code === 'relay_redirects') return `${message} Name that one with --relay, instead of ${origin}.`
  if (code === 'relay_unreachable') return `No relay answers at ${origin}. ${reasonFor(error, relay)}`
  if (code !== 'relay_untrusted') return message
  const own = /self-signed|authority/.test(detail) ? ' Trust one of your own with NODE_EXTRA_CA_CERTS=ca.pem.' : ''
  return `The certificate of ${origin} cannot be trusted. ${detail}${own}`
}

/** Returns why nothing answers, as far as that is known, and what to try. */
function reasonFor({ detail, cause }: PairingError, relay: string): string {
  const status = cause instanceof RelayUnreachable ? cause.status : undefined
  if (status !== undefined && [502, 503, 504].includes(status)) {
    return `A proxy answers there, and it reaches no relay behind it (HTTP ${status}).`
  }
  const plain = relay.startsWith('http:')
  // Servers with TLS answer plain HTTP with 400, or hang up.
  if (plain && (status === 400 || failedWith(/^(UND_ERR_SOCKET|ECONNRESET)$/, cause)))
    return 'If this port has TLS, the address begins with https://.'
  if (detail !== undefined) return detail
  if (failedWith(/^ERR_SSL_/, cause)) return 'It takes another TLS than this device.'
  if (isLoopback(relay)) return 'Start one with `pairlay serve`, or name one with --relay or `pairlay config`.'
  return `Check the address and the network.${unusedProxy(relay)}`
}

/** Reports whether an error, or what caused it, has such a code. */
function failedWith(code: RegExp, error: unknown): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && code.test(String(error.code))) || failedWith(code, error.cause)
}

/** Returns the proxy that the environment names for a relay on another machine, and whether Node uses it. */
export function proxyFor(relay: string): { readonly name: string; readonly isUsed: boolean } | undefined {
  const { env, allowedNodeEnvironmentFlags } = process
  const variable = relay.startsWith('http:') ? 'HTTP_PROXY' : 'HTTPS_PROXY'
  const names = [variable, variable.toLowerCase()]
  const name = [...names, 'ALL_PROXY', 'all_proxy'].find((each) => env[each])
  if (name === undefined || isLoopback(relay)) return undefined
  const uses = env.NODE_USE_ENV_PROXY === '1' && allowedNodeEnvironmentFlags.has('--use-env-proxy')
  return { name, isUsed: uses && names.includes(name) }
}

/** Returns a sentence about a proxy of the environment that Node leaves alone, or an empty text. */
export function unusedProxy(relay: string): string {
  const proxy = proxyFor(relay)
  if (!proxy || proxy.isUsed) return ''
  return ` ${proxy.name} is set and is not used: Node 24 uses HTTP_PROXY and HTTPS_PROXY with NODE_USE_ENV_PROXY=1.`
}
