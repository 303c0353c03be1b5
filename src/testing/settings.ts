import type { RelaySettings } from '../relay/relay.ts'

/** Those of an operator who sets nothing. A test holds them to that. */
export const SETTINGS: RelaySettings = {
  sessionTtlSeconds: 900,
  maxSessionTtlSeconds: 3600,
  maxReceivers: 8,
  maxSessions: 100_000,
  maxSessionsPerClient: 32,
  maxSessionsPerSource: 256,
  maxFrameBytes: 262_272,
  windowBytes: 2_098_176,
  memoryBudgetBytes: 256 * 1_048_576,
  limitAddresses: true,
}
