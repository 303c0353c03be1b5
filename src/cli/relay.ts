import { RelayRefusal } from '../client/calls/http-call.ts'
import { PairingError } from '../client/index.ts'
import { CliError, exitOf } from './exit.ts'
import type { Terminal } from './terminal.ts'

const DEFAULT_RELAY = 'http://127.0.0.1:8080'

/** The relay to use, from the command line or the environment. Throws CliError for what cannot be one. */
export function relayFrom(option: string | undefined): string {
  if (option !== undefined) return relayAddress(option, 'The value of --relay')
  const variable = process.env.PAIRLAY_RELAY
  return variable ? relayAddress(variable, 'PAIRLAY_RELAY') : DEFAULT_RELAY
}

/** No address is as long. */
const ADDRESS_MAX = 2_048

/** A relay's address, without anything behind it. What was given is not repeated: it may hold a password. */
export function relayAddress(text: string, source: string): string {
  const url = text.length <= ADDRESS_MAX && URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw new CliError(`${source} is not a relay address; one looks like https://relay.example.`, 'usage')
  }
  let path = url.pathname
  while (path.endsWith('/')) path = path.slice(0, -1)
  return url.origin + path
}

/** Says it when the way to a relay on another machine is open to whoever is on it. */
export function warnOfPlainHttp(relay: string, terminal: Pick<Terminal, 'event' | 'say'>): void {
  const { protocol, hostname, host } = new URL(relay)
  if (protocol === 'https:' || isLoopback(hostname) || /^(0\.0\.0\.0|\[::\])$/.test(hostname)) return
  terminal.event('plain_http', { relay })
  terminal.say(
    `http:// to ${host} has no TLS: others on the way can disturb this pairing, though not read what is sent.`,
  )
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|127\.[\d.]+|\[::1\])$/.test(hostname)
}

/**
 * What ended a command, in words that name the relay where they have to. `approved` is whether a device was: from then on
 * there is nothing left but delivered or not.
 */
export function failureOf(error: unknown, relay: string, approved: boolean): unknown {
  if (!(error instanceof PairingError)) return error
  const { origin, pathname, hostname } = new URL(relay)
  if (pathname !== '/' && error.cause instanceof RelayRefusal && error.cause.code === 'not_found') {
    const message = `There is no relay under this path of ${origin}. Mostly a relay has none: try --relay ${origin}.`
    return new CliError(message, 'usage', error.code)
  }
  if (error.cause instanceof RelayRefusal && error.cause.code === 'forbidden' && !approved) {
    const message = `The relay at ${origin} does not answer to this name. Its operator lets it with ALLOWED_HOSTS or TRUST_PROXY.`
    return new CliError(message, exitOf(error.code, approved), error.code)
  }
  const advised = adviceFor(error, origin)
  if (advised) return new CliError(advised, exitOf(error.code, approved), error.code)
  if (error.code !== 'relay_unreachable') return new CliError(error.message, exitOf(error.code, approved), error.code)
  const advice = isLoopback(hostname)
    ? 'Start one with `pairlay serve`, or name one with --relay.'
    : 'Check the address and the network.'
  return new CliError(
    `No relay answers at ${origin}. ${error.detail ?? advice}`,
    exitOf(error.code, approved),
    error.code,
  )
}

/** What to do about a relay that was found and cannot be used. */
function adviceFor({ code, message, detail = '' }: PairingError, origin: string): string | undefined {
  if (code === 'relay_redirects') return `${message} Name that one with --relay, instead of ${origin}.`
  if (code !== 'relay_untrusted') return undefined
  const own = /self-signed|authority/.test(detail) ? ' One of your own is trusted with NODE_EXTRA_CA_CERTS=ca.pem.' : ''
  return `The certificate of ${origin} cannot be trusted. ${detail}${own}`
}
