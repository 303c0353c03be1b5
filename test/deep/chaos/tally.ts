/** The outcome of a run. `lost` is everything that must not be: missing or wrong bytes, a silence, an error of no type. */
export type Fate = 'survived' | 'clean error' | 'lost' | 'duplicated'

export interface Verdict {
  readonly fate: Fate
  /** In a few words, for everything but a survival. */
  readonly why: string
}

/** A line of the table. */
export interface Row {
  readonly phase: string
  readonly runs: number
  readonly survived: number
  readonly cleanErrors: number
  readonly lost: number
  readonly duplicated: number
  /** Faults in words. With any the suite has failed. */
  readonly faults: readonly string[]
  /** Notes, such as times. */
  readonly notes: readonly string[]
}

const HOPELESS = 12

/** Counts the runs of one row. */
export class Tally {
  readonly #phase: string
  readonly #mustSurvive: boolean
  readonly #counts: Record<Fate, number> = { survived: 0, 'clean error': 0, lost: 0, duplicated: 0 }
  readonly #cleanErrors = new Map<string, number>()
  readonly #faults: string[] = []
  readonly #notes: string[] = []

  /** With `mustSurvive` a clean error is a fault too. */
  constructor(phase: string, { mustSurvive = false } = {}) {
    this.#phase = phase
    this.#mustSurvive = mustSurvive
  }

  /** `name` finds the run again. */
  add(name: string, { fate, why }: Verdict): void {
    this.#counts[fate]++
    if (fate === 'clean error') this.#cleanErrors.set(why, (this.#cleanErrors.get(why) ?? 0) + 1)
    const allowed = fate === 'survived' || (fate === 'clean error' && !this.#mustSurvive)
    if (!allowed) this.fault(`${name}: ${fate}: ${why}`)
  }

  /** Reports whether further runs would tell nothing new. They would take long: many failures are silences. */
  get hopeless(): boolean {
    return this.#faults.length >= HOPELESS
  }

  fault(text: string): void {
    this.#faults.push(text)
  }

  note(text: string): void {
    this.#notes.push(text)
  }

  get row(): Row {
    const counts = this.#counts
    const errors = [...this.#cleanErrors].map(([why, count]) => `${count} × ${why}`)
    return {
      phase: this.#phase,
      runs: counts.survived + counts['clean error'] + counts.lost + counts.duplicated,
      survived: counts.survived,
      cleanErrors: counts['clean error'],
      lost: counts.lost,
      duplicated: counts.duplicated,
      faults: this.#faults,
      notes: [...this.#notes, ...(errors.length === 0 ? [] : [`clean errors: ${errors.join('; ')}`])],
    }
  }
}
