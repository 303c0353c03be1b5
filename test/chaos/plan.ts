/** How much of everything is done. */
export interface Plan {
  /** Chooses everything that is random. */
  readonly seed: string
  /** Connections to cut. */
  readonly cuts: number
}

export const SHORT: Plan = { seed: 'pairlay', cuts: 500 }
