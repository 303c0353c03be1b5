import type { FastifyBaseLogger } from 'fastify'
import type { Diagnostics } from '../relay/ports.ts'
import type { SessionObserver } from '../store/observed-sessions.ts'
import type { RelayMetrics } from './metrics/relay-metrics.ts'
import { logSessionEnd } from './session-log.ts'

/** Tells the metrics and the log what happens in the relay. `bytesOf`: what this node took of a session's frames. */
export function reportTo(
  metrics: RelayMetrics,
  logger: FastifyBaseLogger,
  bytesOf: (sessionId: string) => number,
): { readonly diagnostics: Diagnostics; readonly observer: SessionObserver } {
  return {
    diagnostics: {
      relayed: (bytes) => metrics.relayed(bytes),
      discarded: (reason) => {
        metrics.discarded(reason)
        logger.debug({ reason }, 'a frame was discarded')
      },
      failed: (error) => {
        metrics.failed()
        logger.error({ err: error }, 'the relay failed')
      },
    },
    observer: {
      created: () => metrics.created(),
      joined: () => metrics.joined(),
      attached: (via, again) => metrics.attached(via, again),
      ended: (outcome, ms) => metrics.ended(outcome, ms),
      closed: (end) => {
        metrics.closed(end)
        logSessionEnd(logger, end, bytesOf(end.sessionId))
      },
    },
  }
}
