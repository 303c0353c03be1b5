import { performance } from 'node:perf_hooks'
import { openLink, type Target } from './links.ts'
import { measured, type Usage, withTimeout } from './time.ts'

export interface PingResult extends Usage {
  /** Milliseconds, in the order of sending. */
  readonly oneWayMs: Float64Array
  readonly roundTripMs: Float64Array
}

/**
 * Sends a small message every `gapMs`, without waiting for the last, so that a stall counts for every message it holds
 * up. The far end sends each back. Both ends share one clock.
 */
export async function ping(args: {
  target: Target
  messageBytes: number
  count: number
  gapMs: number
}): Promise<PingResult> {
  const { target, messageBytes, count, gapMs } = args
  const pair = await openLink(target, { messageBytes, messages: count })
  const sentAt = new Float64Array(count)
  const oneWayMs = new Float64Array(count)
  const roundTripMs = new Float64Array(count)
  let [sent, arrived, back] = [0, 0, 0]
  try {
    const { seconds, cpuSeconds } = await measured(() =>
      withTimeout(
        30_000 + 2 * count * gapMs,
        new Promise<void>((resolve, reject) => {
          pair.near.onEnd = pair.far.onEnd = (reason) => reject(new Error(reason))
          pair.far.onMessage = () => {
            oneWayMs[arrived] = performance.now() - (sentAt[arrived] ?? 0)
            arrived++
            pair.far.send()
            pair.far.flush()
          }
          pair.near.onMessage = () => {
            roundTripMs[back] = performance.now() - (sentAt[back] ?? 0)
            if (++back === count) resolve()
          }
          const startedAt = performance.now()
          const timer = setInterval(() => {
            // A late timer sends what it missed, so that the rate holds.
            while (sent < count && performance.now() >= startedAt + sent * gapMs) {
              sentAt[sent++] = performance.now()
              pair.near.send()
              pair.near.flush()
            }
            if (sent === count) clearInterval(timer)
          }, gapMs)
        }),
      ),
    )
    return { seconds, cpuSeconds, oneWayMs, roundTripMs }
  } finally {
    await pair.close()
  }
}
