import { callRelay, type HttpAnswer, type HttpCall, RelayRefusal, RelayUnreachable } from '../calls/http-call.ts'
import type { Environment } from '../environment.ts'

const TRIES = 6
const FIRST_WAIT_MS = 500
const WAIT_MAX_MS = 10_000

/**
 * Makes a call of a connection, and again while its rate is too high: the relay, or a proxy that limits rates, has room for it
 * soon. A new attach would be one call more. Throws as `callRelay` does, after six tries, or once the call is aborted.
 */
export async function callPatiently(
  environment: Environment,
  call: HttpCall & { readonly abort: AbortController },
): Promise<HttpAnswer> {
  for (let waitMs = FIRST_WAIT_MS, tries = 1; ; waitMs *= 2, tries++) {
    try {
      return await callRelay(environment, call)
    } catch (error) {
      if (!isOfRate(error) || tries === TRIES) throw error
      const asked = error instanceof RelayRefusal ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
      const ms = Math.max(asked, waitMs * (0.5 + environment.jitter()))
      await pauseUntilAbort(environment, Math.min(ms, WAIT_MAX_MS), call.abort.signal)
      if (call.abort.signal.aborted) throw error
    }
  }
}

/** A 429, or a 503 that is not of a relay: nginx limits rates with it. */
function isOfRate(error: unknown): boolean {
  if (error instanceof RelayRefusal) return error.code === 'rate_limited'
  return error instanceof RelayUnreachable && error.status === 503
}

function pauseUntilAbort(environment: Environment, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      environment.clearTimeout(timer)
      resolve()
    }
    const timer = environment.setTimeout(end, ms)
    signal.addEventListener('abort', end, { once: true })
  })
}
