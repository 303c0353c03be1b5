import type * as z from 'zod/mini'
import { parseJson } from '../protocol/codec.ts'
import { CIPHERTEXT_TYPE, Problem } from '../protocol/http.ts'
import type { Environment } from './environment.ts'

/** How long one answer may take, its last byte included, and how long a text may be. */
const ANSWER_TIMEOUT_MS = 15_000
const ANSWER_MAX_BYTES = 65_536

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

/** One HTTP call to a relay. */
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

/** What came with a status of 200 to 299. */
export interface HttpAnswer {
  readonly status: number
  /** The media type, without parameters. */
  readonly type: string | undefined
  /** What was asked to be left free, and the body. */
  readonly bytes: Uint8Array
}

/** Makes a call, once. Throws RelayRefusal and RelayUnreachable. */
export async function callRelay(environment: Environment, call: HttpCall): Promise<HttpAnswer> {
  const { status, type, bytes } = await exchange(environment, call)
  if (status >= 200 && status < 300) return { status, type, bytes }
  const problem = Problem.safeParse(jsonOrUndefined(bytes.subarray(call.headroom)))
  if (problem.success) throw new RelayRefusal(plainCode(problem.data.code), problem.data.retryable)
  throw notOfPairlay(` (HTTP ${status})`)
}

/** The body of an answer as what it should be. Throws RelayUnreachable. */
export function bodyOf<T>({ bytes }: HttpAnswer, schema: z.ZodMiniType<T>): T {
  const parsed = schema.safeParse(jsonOrUndefined(bytes))
  if (parsed.success) return parsed.data
  throw notOfPairlay()
}

/** What an answer is that no relay gives: somebody else's, such as a proxy's. */
export function notOfPairlay(more = ''): RelayUnreachable {
  return new RelayUnreachable(`the answer is not one of a Pairlay relay${more}`)
}

async function exchange(environment: Environment, call: HttpCall): Promise<HttpAnswer> {
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
      redirect: 'error',
    })
    const [type] = response.headers.get('content-type')?.split(';') ?? []
    return { status: response.status, type, bytes: await bytesOf(response, maxBytes ?? ANSWER_MAX_BYTES, headroom) }
  } catch (error) {
    throw new RelayUnreachable('no answer', { cause: error })
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
