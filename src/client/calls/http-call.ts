import { CIPHERTEXT_TYPE } from '../../protocol/fields.ts'
import type { Form } from '../../protocol/forms.ts'
import { Problem } from '../../protocol/responses.ts'
import { parseJson } from '../../protocol/text.ts'
import type { Environment } from '../environment.ts'
import type { PairingErrorCode } from '../errors.ts'
import { connectionFailure } from './connection-failure.ts'

/** How long one answer may take, its last byte included, and how long a text may be. */
const ANSWER_TIMEOUT_MS = 15_000
const ANSWER_MAX_BYTES = 65_536

/** A relay said no. Carries the code of the protocol's error table. */
export class RelayRefusal extends Error {
  override readonly name = 'RelayRefusal'
  /** Code of an error of PROTOCOL.md, section 6, or `something_else`. */
  readonly code: string
  /** Reports whether the same call may succeed later. */
  readonly retryable: boolean
  /** How long the relay asks to wait before the next try. */
  readonly retryAfterSeconds: number | undefined

  constructor(code: string, retryable: boolean, retryAfterSeconds?: number) {
    super(`the relay answered ${code}`)
    this.code = code
    this.retryable = retryable
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** No answer, or one that is not of the protocol. Whether the relay did what it was asked is unknown. */
export class RelayUnreachable extends Error {
  override readonly name = 'RelayUnreachable'
  /** The code of what an app is told. */
  readonly code: PairingErrorCode
  /** A sentence for a person. */
  readonly detail: string | undefined
  /** The HTTP status, where there was one. */
  readonly status: number | undefined

  constructor(
    message: string,
    more: { code?: PairingErrorCode; detail?: string | undefined; status?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: more.cause })
    this.code = more.code ?? 'relay_unreachable'
    this.detail = more.detail
    this.status = more.status
  }
}

/** A call to a relay. */
export interface HttpCall {
  readonly method: string
  readonly url: string
  readonly token?: string | undefined
  /** Bytes go as ciphertext, anything else as JSON. */
  readonly body?: unknown
  readonly timeoutMs?: number | undefined
  /** The longest answer, and how many bytes are left free in front of it. */
  readonly maxBytes?: number | undefined
  readonly headroom?: number | undefined
  /** Ends the call early. It is aborted here when the time is over. */
  readonly abort?: AbortController | undefined
}

/** An answer with a status of 200 to 299. */
export interface HttpAnswer {
  readonly status: number
  /** The media type, without parameters. */
  readonly type: string | undefined
  /** The body, behind the headroom that was asked for. */
  readonly bytes: Uint8Array
}

/** Makes a call, once. Throws RelayRefusal and RelayUnreachable. */
export async function callRelay(environment: Environment, call: HttpCall): Promise<HttpAnswer> {
  const { status, type, bytes, retryAfterSeconds } = await exchange(environment, call)
  if (status >= 200 && status < 300) return { status, type, bytes }
  const problem = Problem.safeParse(jsonOrUndefined(bytes.subarray(call.headroom)))
  if (problem.success) throw new RelayRefusal(plainCode(problem.data.code), problem.data.retryable, retryAfterSeconds)
  // Proxies limit rates too.
  if (status === 429) throw new RelayRefusal('rate_limited', true, retryAfterSeconds)
  throw notOfPairlay(status)
}

/** The body of an answer as what it should be. Throws RelayUnreachable. */
export function bodyOf<T>({ bytes }: HttpAnswer, form: Form<T>): T {
  const parsed = form.safeParse(jsonOrUndefined(bytes))
  if (parsed.success) return parsed.data
  throw notOfPairlay()
}

/** The error for an answer that no relay gives, such as a proxy's. */
export function notOfPairlay(status?: number): RelayUnreachable {
  const message = `the answer is not one of a Pairlay relay${status === undefined ? '' : ` (HTTP ${status})`}`
  const detail = `There is something else at this address: ${message}.`
  return new RelayUnreachable(message, { detail, status })
}

interface Exchange extends HttpAnswer {
  readonly retryAfterSeconds: number | undefined
}

async function exchange(environment: Environment, call: HttpCall): Promise<Exchange> {
  const { method, url, token, body, timeoutMs, maxBytes, headroom, abort = new AbortController() } = call
  const timer = environment.setTimeout(() => abort.abort(), timeoutMs ?? ANSWER_TIMEOUT_MS)
  const isCiphertext = body instanceof Uint8Array
  try {
    const response = await environment.fetch(url, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': isCiphertext ? CIPHERTEXT_TYPE : 'application/json' }),
      },
      ...(body === undefined ? {} : { body: isCiphertext ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
      signal: abort.signal,
      cache: 'no-store',
      credentials: 'omit',
      // Never followed: a token would go along.
      redirect: 'manual',
    })
    const { status, headers } = response
    if (response.type === 'opaqueredirect' || (status >= 300 && status < 400)) {
      await response.body?.cancel()
      throw redirectOf(url, headers.get('location'))
    }
    const [type] = headers.get('content-type')?.split(';') ?? []
    const [retryAfter] = /^\d{1,6}$/.exec(headers.get('retry-after') ?? '') ?? []
    const retryAfterSeconds = retryAfter === undefined ? undefined : Number(retryAfter)
    return { status, type, bytes: await bytesOf(response, maxBytes ?? ANSWER_MAX_BYTES, headroom), retryAfterSeconds }
  } catch (error) {
    if (error instanceof RelayUnreachable) throw error
    throw new RelayUnreachable('no answer', { ...connectionFailure(error), cause: error })
  } finally {
    environment.clearTimeout(timer)
  }
}

/** The body of an answer, behind so many free bytes. Throws for one that is too long, before it is all there. */
async function bytesOf(response: Response, maxBytes: number, headroom = 0): Promise<Uint8Array> {
  const reader = response.body?.getReader()
  const pieces: Uint8Array[] = []
  let length = headroom
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true }
    if (done || !value) break
    length += value.length
    if (length - headroom > maxBytes) {
      await reader?.cancel()
      throw new RangeError('the answer is too long')
    }
    pieces.push(value)
  }
  const bytes = new Uint8Array(length)
  let at = headroom
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

/** A code that is safe to show: the relay may have put anything there. */
function plainCode(code: string): string {
  return /^[a-z_]{1,40}$/.test(code) ? code : 'something_else'
}

function jsonOrUndefined(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}

/** A redirect by name. Browsers do not show where it leads. */
function redirectOf(url: string, location: string | null): RelayUnreachable {
  const target = location !== null && URL.canParse(location, url) ? new URL(location, url) : undefined
  const address = target && (target.origin + target.pathname).replace(/\/v1\/.*$/, '').slice(0, 200)
  const detail = address === undefined ? undefined : `It points to ${address}.`
  return new RelayUnreachable('the answer is a redirect', { code: 'relay_redirects', detail })
}
