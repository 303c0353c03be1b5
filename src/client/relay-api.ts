import { CreateSessionResponse, JoinResponse } from '../protocol/http.ts'
import type { CreateSessionRequest, DecisionRequest, JoinRequest } from '../protocol/requests.ts'
import type { Environment } from './environment.ts'
import { PairingError, type PairingErrorCode } from './errors.ts'
import { bodyOf, callRelay, type HttpAnswer, RelayRefusal, RelayUnreachable } from './http-call.ts'

/** How often a command that may be repeated is tried. */
const TRIES = 5
/** How often a session is asked for, or joined, with other codes each time. */
const CODE_TRIES = 4
const FIRST_RETRY_MS = 300

/** Who calls, in which session. */
export interface Credentials {
  readonly sessionId: string
  readonly token: string
}

/** The HTTP commands of one relay. Throws RelayRefusal and RelayUnreachable. */
export class RelayApi {
  /** The relay's address, without a slash at the end. */
  readonly url: string
  readonly #environment: Environment

  constructor(relay: string, environment: Environment) {
    this.url = relayUrl(relay)
    this.#environment = environment
  }

  /** Not repeated by itself: a lost answer is retried by the caller, with fresh codes. */
  async createSession(request: CreateSessionRequest): Promise<CreateSessionResponse> {
    return bodyOf(await this.#call('POST', '/v1/sessions', request), CreateSessionResponse)
  }

  async join(request: JoinRequest): Promise<JoinResponse> {
    return bodyOf(await this.#call('POST', '/v1/receivers', request), JoinResponse)
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
        await this.#pause(attempt)
      }
    }
  }

  /**
   * After the nth create or join that failed: resolves when it is time for the next, with fresh codes. Throws PairingError
   * when there should be none.
   */
  async beforeNextTry(failed: number, error: unknown): Promise<void> {
    const inUse = error instanceof RelayRefusal && /^(receiver_)?code_in_use$/.test(error.code)
    if (failed === CODE_TRIES || !(inUse || isPassing(error))) throw pairingErrorOf(error)
    if (!inUse) await this.#pause(failed)
  }

  /** Waits before a command is tried again that failed so many times: about 300 ms, and twice as long each time. */
  #pause(failed: number): Promise<void> {
    const ms = FIRST_RETRY_MS * 2 ** (failed - 1) * (0.5 + this.#environment.jitter())
    return new Promise((resolve) => this.#environment.setTimeout(resolve, ms))
  }

  #call(method: string, path: string, body: unknown, token?: string): Promise<HttpAnswer> {
    return callRelay(this.#environment, { method, url: this.url + path, body, token })
  }
}

/** Whether the same command may succeed a moment later. */
function isPassing(error: unknown): boolean {
  return error instanceof RelayUnreachable || (error instanceof RelayRefusal && error.retryable)
}

/** A relay's address in the one form the SDK uses. Throws PairingError `relay_unreachable` for what cannot be one. */
function relayUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password) {
    throw new PairingError('relay_unreachable', { detail: 'A relay address looks like https://relay.example.' })
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

const REFUSALS: Readonly<Record<string, PairingErrorCode>> = {
  at_capacity: 'at_capacity',
  too_many_sessions: 'at_capacity',
  rate_limited: 'at_capacity',
  going_away: 'at_capacity',
  unavailable: 'at_capacity',
  session_full: 'session_full',
  session_not_found: 'session_lost',
  session_gone: 'expired',
  receiver_gone: 'receiver_left',
}

/** What a failed command means to the app. */
export function pairingErrorOf(error: unknown): PairingError {
  if (error instanceof PairingError) return error
  if (error instanceof RelayUnreachable) {
    const detail =
      error.message === 'no answer' ? undefined : `There is something else at this address: ${error.message}.`
    return new PairingError('relay_unreachable', { ...(detail === undefined ? {} : { detail }), cause: error })
  }
  if (error instanceof RelayRefusal) {
    const code = Object.hasOwn(REFUSALS, error.code) ? REFUSALS[error.code] : undefined
    if (code) return new PairingError(code, { cause: error })
    return new PairingError('relay_refused', { detail: `It said ${error.code}.`, cause: error })
  }
  throw error
}

/** Tells the relay something that our own safety does not rest on, and that it forgets at the deadline anyway. */
export async function courtesy(telling: Promise<void>): Promise<void> {
  try {
    await telling
  } catch (error) {
    if (!(error instanceof RelayRefusal || error instanceof RelayUnreachable)) throw error
  }
}
