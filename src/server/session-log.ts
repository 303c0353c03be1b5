import type { FastifyBaseLogger } from 'fastify'
import type { SessionEnd } from '../store/observed-sessions.ts'

/** Upper ends of the size classes, in bytes, with their names in the log. */
const SIZES = [
  [2 ** 20, 'up to 1 MiB'],
  [2 ** 24, 'up to 16 MiB'],
  [2 ** 28, 'up to 256 MiB'],
  [2 ** 32, 'up to 4 GiB'],
] as const

/** Logs the end of a session in one line, without who it was or what it moved. `bytes`: what this node took. */
export function logSessionEnd(
  logger: FastifyBaseLogger,
  { outcome, ms, approved, done, joins }: SessionEnd,
  bytes: number,
): void {
  const size = SIZES.find(([most]) => bytes <= most)?.[1] ?? 'over 4 GiB'
  logger.info({ outcome, seconds: Math.round(ms / 1000), size, joins, approved, done }, 'a session has ended')
}
