import type * as z from 'zod/mini'
import { parseJson } from '../protocol/codec.ts'
import {
  type CreateSessionRequest,
  CreateSessionResponse,
  type DecisionRequest,
  type JoinRequest,
  JoinResponse,
  Problem,
} from '../protocol/http.ts'
import type { Environment } from './environment.ts'
import { PairingError, type PairingErrorCode } from './errors.ts'

/** How long one HTTP answer may take, and how often a command that may be repeated is tried. */
const ANSWER_TIMEOUT_MS = 15_000
const ANSWER_MAX_BYTES = 65_536
const TRIES = 5
const FIRST_RETRY_MS = 300

/** A relay said no. Carries the code of the protocol's error table. */
export class RelayRefusal extends Error {
  override readonly name = 'RelayRefusal'
  readonly code: string
  readonly retryable: boolean

  constructor(code: string, retryable: boolean) {
    super(`the relay answered ${code}`)
    this.code = code
    this.retryable = retryable
  }
}

/** No answer, or one that is not of the protocol. Whether the relay did what it was asked is unknown. */
export class RelayUnreachable extends Error {
  override readonly name = 'RelayUnreachable'
}

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

  get socketUrl(): string {
    return this.url.replace(/^http/, 'ws')
  }

  /** Not repeated by itself: a lost answer is retried by the caller, with fresh codes. */
  createSession(request: CreateSessionRequest): Promise<CreateSessionResponse> {
    return this.#call('POST', '/v1/sessions', { body: request, answer: CreateSessionResponse })
  }

  join(request: JoinRequest): Promise<JoinResponse> {
    return this.#call('POST', '/v1/receivers', { body: request, answer: JoinResponse })
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
        return await this.#call(method, `/v1/sessions/${sessionId}${path}`, { token, body })
      } catch (error) {
        const retryable = error instanceof RelayUnreachable || (error instanceof RelayRefusal && error.retryable)
        if (!retryable || attempt === TRIES) throw error
        const ms = FIRST_RETRY_MS * 2 ** (attempt - 1) * (0.5 + this.#environment.jitter())
        await new Promise<void>((resolve) => this.#environment.setTimeout(resolve, ms))
      }
    }
  }

  async #call<T = void>(
    method: string,
    path: string,
    options: { token?: string; body?: unknown; answer?: z.ZodMiniType<T> },
  ): Promise<T> {
    const { token, body, answer } = options
    const { status, text } = await this.#exchange(method, path, token, body)
    if (status >= 200 && status < 300) {
      if (!answer) return undefined as T
      const parsed = answer.safeParse(jsonOrUndefined(text))
      if (parsed.success) return parsed.data
      throw new RelayUnreachable('the answer is not one of a Pairlay relay')
    }
    const problem = Problem.safeParse(jsonOrUndefined(text))
    if (problem.success) throw new RelayRefusal(plainCode(problem.data.code), problem.data.retryable)
    throw new RelayUnreachable(`the answer is not one of a Pairlay relay (HTTP ${status})`)
  }

  async #exchange(
    method: string,
    path: string,
    token?: string,
    body?: unknown,
  ): Promise<{ status: number; text: string }> {
    const abort = new AbortController()
    const timer = this.#environment.setTimeout(() => abort.abort(), ANSWER_TIMEOUT_MS)
    try {
      const response = await this.#environment.fetch(this.url + path, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: abort.signal,
        cache: 'no-store',
        credentials: 'omit',
        redirect: 'error',
      })
      return { status: response.status, text: await textOf(response) }
    } catch (error) {
      throw new RelayUnreachable('no answer', { cause: error })
    } finally {
      this.#environment.clearTimeout(timer)
    }
  }
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

/** A code that is safe to show: the relay may have put anything there. */
function plainCode(code: string): string {
  return /^[a-z_]{1,40}$/.test(code) ? code : 'something_else'
}

/** The text of an answer. Throws for one that is longer than any of the protocol. */
async function textOf(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  const reader = response.body?.getReader()
  let [text, bytes] = ['', 0]
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true }
    if (done || !value) return text + decoder.decode()
    bytes += value.length
    if (bytes > ANSWER_MAX_BYTES) {
      await reader?.cancel()
      throw new RangeError('the answer is too long')
    }
    text += decoder.decode(value, { stream: true })
  }
}

/** Tells the relay something that our own safety does not rest on, and that it forgets at the deadline anyway. */
export async function courtesy(telling: Promise<void>): Promise<void> {
  try {
    await telling
  } catch (error) {
    if (!(error instanceof RelayRefusal || error instanceof RelayUnreachable)) throw error
  }
}

function jsonOrUndefined(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}
