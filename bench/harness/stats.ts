/** A measured quantity over the rounds of a run. */
export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly rounds: number
}

export function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined
  const sorted = [...values].sort((a, b) => a - b)
  return {
    median: quantile(sorted, 0.5),
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    rounds: sorted.length,
  }
}

/** `sorted` ascending; between two values, a weighted mean of them. */
export function quantile(sorted: ArrayLike<number>, fraction: number): number {
  const at = (sorted.length - 1) * fraction
  const [low, high] = [sorted[Math.floor(at)] ?? Number.NaN, sorted[Math.ceil(at)] ?? Number.NaN]
  return low + (high - low) * (at - Math.floor(at))
}

export function percentile(values: Float64Array, percent: number): number {
  return quantile(Float64Array.from(values).sort(), percent / 100)
}

/** Ratios round by round, so that what slowed a whole round down slows both sides of it down. */
export function ratios(above: readonly number[], below: readonly number[]): number[] {
  return Array.from({ length: Math.min(above.length, below.length) }, (_, n) => (above[n] ?? 0) / (below[n] ?? 0))
}
