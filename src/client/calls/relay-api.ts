import { TTL_MAX_SECONDS } from '../../protocol/limits.ts'
import type { CreateSessionRequest, DecisionRequest, JoinRequest } from '../../protocol/request-types.ts'
import { CreateSessionResponse, JoinResponse, type SessionLimits } from '../../protocol/responses.ts'
import { type Environment, MESSAGE_MAX_BYTES, pause } from '../environment.ts'
import { PairingError, type PairingErrorCode } from '../errors.ts'
import { bodyOf, callRelay, type HttpAnswer, RelayRefusal, RelayUnreachable } from './http-call.ts'

/** How often a command that may be repeated is tried. */
const TRIES = 5
/** How often a session is asked for, or joined, with other codes each time. */
const CODE_TRIES = 4
const FIRST_RETRY_MS = 300
/** The longest a relay's Retry-After holds up a command. */
const RETRY_AFTER_MAX_MS = 10_000
/** How long a create or join waits for a relay that limits rates, unless the app says otherwise. */
const PATIENCE_MS = 10_000
const ADDRESS_MAX_LENGTH = 2_048
/** The most that is held for one direction of a channel, whatever window a relay announces. */
export const WINDOW_MAX_BYTES = 64 * 1024 * 1024

/** The role that calls, and its session. */
export interface Credentials {
  readonly sessionId: string
  readonly token: string
}

/** The HTTP commands of one relay. They throw RelayRefusal and RelayUnreachable. */
export class RelayApi {
  /** The relay's address, without a slash at the end. */
  readonly url: string
  readonly #environment: Environment

  constructor(relay: string, environment: Environment) {
    this.url = relayUrl(relay)
    this.#environment = environment
  }

  /** Not repeated by itself: a lost answer is retried by the caller, with fresh codes. */
  async createSession(request: CreateSessionRequest, accessToken?: string): Promise<CreateSessionResponse> {
    try {
      return capped(bodyOf(await this.#call('POST', '/v1/sessions', request, accessToken), CreateSessionResponse))
    } catch (error) {
      if (!(error instanceof RelayRefusal && error.code === 'unauthorized')) throw error
      const detail = accessToken === undefined ? undefined : 'It does not know this one.'
      throw new PairingError('access_needed', { ...(detail === undefined ? {} : { detail }), cause: error })
    }
  }

  async join(request: JoinRequest): Promise<JoinResponse> {
    return capped(bodyOf(await this.#call('POST', '/v1/receivers', request), JoinResponse))
  }

  decide(credentials: Credentials, receiverCode: string, decision: DecisionRequest): Promise<void> {
    return this.#repeat('PUT', credentials, `/receivers/${receiverCode}/decision`, decision)
  }

  endReceiver(credentials: Credentials, receiverCode: string): Promise<void> {
    return this.#repeat('DELETE', credentials, `/receivers/${receiverCode}`)
  }

  retireCode(credentials: Credentials): Promise<void> {
    return this.#repeat('DELETE', credentials, '/code')
  }

  closeSession(credentials: Credentials): Promise<void> {
    return this.#repeat('DELETE', credentials, '')
  }

  /** A command that says the same when it is repeated, repeated while the relay cannot answer. */
  async #repeat(method: string, { sessionId, token }: Credentials, path: string, body?: unknown): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#call(method, `/v1/sessions/${sessionId}${path}`, body, token)
        return
      } catch (error) {
        if (!isPassing(error) || attempt === TRIES) throw error
        const ms = Math.max(backoff(this.#environment, attempt), Math.min(retryAfterMs(error), RETRY_AFTER_MAX_MS))
        await pause(this.#environment, ms)
      }
    }
  }

  #call(method: string, path: string, body: unknown, token?: string): Promise<HttpAnswer> {
    return callRelay(this.#environment, { method, url: this.url + path, body, token })
  }
}

/** The tries of one create or join, with other codes each time. */
export class Tries {
  readonly #environment: Environment
  #patienceMs: number
  #failed = 0

  /** `patienceMs` is how long a relay may make this wait that limits rates. */
  constructor(environment: Environment, patienceMs = PATIENCE_MS) {
    this.#environment = environment
    this.#patienceMs = patienceMs
  }

  /** Resolves when it is time for the next try. Throws PairingError when there should be none. */
  async next(error: unknown): Promise<void> {
    if (error instanceof RelayRefusal && error.code === 'rate_limited') {
      const ms = Math.max(1_000, retryAfterMs(error))
      this.#patienceMs -= ms
      if (this.#patienceMs < 0) throw pairingErrorOf(error)
      return pause(this.#environment, ms)
    }
    this.#failed++
    const inUse = error instanceof RelayRefusal && /^(receiver_)?code_in_use$/.test(error.code)
    if (this.#failed === CODE_TRIES || !(inUse || isPassing(error))) throw pairingErrorOf(error)
    if (!inUse) await pause(this.#environment, backoff(this.#environment, this.#failed))
  }
}

/** The wait before a command is tried again that failed so many times: about 300 ms, and twice as long each time. */
function backoff(environment: Environment, failed: number): number {
  return FIRST_RETRY_MS * 2 ** (failed - 1) * (0.5 + environment.jitter())
}

function retryAfterMs(error: unknown): number {
  return error instanceof RelayRefusal ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
}

/** Limits of a session as the relay says them, and never more than this client takes. */
function capped<T extends { readonly expiresInMs: number; readonly limits: SessionLimits }>(answer: T): T {
  const expiresInMs = Math.min(answer.expiresInMs, TTL_MAX_SECONDS * 1_000)
  const windowBytes = Math.min(answer.limits.windowBytes, WINDOW_MAX_BYTES)
  const maxFrameBytes = Math.min(answer.limits.maxFrameBytes, MESSAGE_MAX_BYTES)
  return { ...answer, expiresInMs, limits: { ...answer.limits, windowBytes, maxFrameBytes } }
}

/** Reports whether the same command may succeed a moment later. */
function isPassing(error: unknown): boolean {
  if (error instanceof RelayUnreachable) return error.code === 'relay_unreachable'
  return error instanceof RelayRefusal && error.retryable
}

/**
 * A relay's address in the one form the SDK uses. Throws TypeError for what is no text, and PairingError
 * `relay_unreachable` for what cannot be an address.
 */
export function relayUrl(text: string): string {
  if (typeof text !== 'string')
    throw new TypeError('relay is an address such as https://relay.example: give it, or a link, which has it')
  const url = text.length <= ADDRESS_MAX_LENGTH && URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw new PairingError('relay_unreachable', { detail: 'A relay address looks like https://relay.example.' })
  }
  let address = `${url.origin}${url.pathname}`
  while (address.endsWith('/')) address = address.slice(0, -1)
  return address
}

const REFUSALS: Readonly<Record<string, PairingErrorCode>> = {
  access_denied: 'access_denied',
  at_capacity: 'at_capacity',
  too_many_sessions: 'at_capacity',
  rate_limited: 'rate_limited',
  going_away: 'relay_unavailable',
  unavailable: 'relay_unavailable',
  session_full: 'session_full',
  session_not_found: 'session_lost',
  session_gone: 'expired',
  receiver_gone: 'receiver_left',
}

/** Words for a relay that does not know the paths of this protocol. */
const NO_SUCH_PATH =
  'It has no such path: its address is another one, or a proxy hands on a path that it has to take off.'

/** The error that a failed command is to the app. */
export function pairingErrorOf(error: unknown): PairingError {
  if (error instanceof PairingError) return error
  if (error instanceof RelayUnreachable) {
    const { code, detail } = error
    return new PairingError(code, { detail, cause: error })
  }
  if (error instanceof RelayRefusal) {
    const code = Object.hasOwn(REFUSALS, error.code) ? REFUSALS[error.code] : undefined
    if (code === 'rate_limited') {
      return new PairingError(code, { detail: `Wait ${error.retryAfterSeconds ?? 60} s.`, cause: error })
    }
    if (code) return new PairingError(code, { cause: error })
    const detail = error.code === 'not_found' ? NO_SUCH_PATH : `It said ${error.code}.`
    return new PairingError('relay_refused', { detail, cause: error })
  }
  return new PairingError('internal', { cause: error })
}
