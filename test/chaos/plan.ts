import type { Nap } from './sleepers.ts'

/** How much of everything is done. */
export interface Plan {
  /** Chooses everything that is random. */
  readonly seed: string
  /** Connections to cut. */
  readonly cuts: number
  readonly slow: { readonly pairings: number; readonly kib: number }
  readonly naps: readonly Nap[]
  readonly killsPerPhase: number
  readonly killsAlonePerPhase: number
  /** Clusters that are killed side by side. */
  readonly clusters: number
  readonly rollingRestarts: number
  readonly stormSockets: number
}

export const SHORT: Plan = {
  seed: 'pairlay',
  cuts: 500,
  slow: { pairings: 6, kib: 256 },
  naps: [
    { who: ['receiver'], seconds: 2, relaySeconds: 60 },
    { who: ['sender'], seconds: 2, relaySeconds: 60 },
    { who: ['receiver'], seconds: 1, relaySeconds: 90 },
  ],
  killsPerPhase: 3,
  killsAlonePerPhase: 1,
  clusters: 2,
  rollingRestarts: 1,
  stormSockets: 2_000,
}
