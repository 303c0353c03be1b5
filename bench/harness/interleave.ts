import { performance } from 'node:perf_hooks'

export interface Contender<T> {
  readonly name: string
  readonly run: () => Promise<T>
  /** Runs once before the first round, of all contenders before any is measured: code that V8 has not met yet costs double. */
  readonly warmUp?: () => Promise<unknown>
}

export interface Outcome<T> {
  readonly name: string
  /** A value for each round, in order. */
  readonly rounds: readonly T[]
  /** Why it took part in no further round. */
  readonly failure: string | undefined
}

/**
 * A B C, then C B A, then A B C …: what the machine does meanwhile meets all of them. A round is always finished, so that
 * the nth values of all belong together. Another begins while there is time for it.
 */
export async function interleave<T>(
  contenders: readonly Contender<T>[],
  limits: { readonly rounds: number; readonly seconds: number },
): Promise<Outcome<T>[]> {
  const results = new Map<string, T[]>(contenders.map(({ name }) => [name, []]))
  const failures = new Map<string, string>()
  const attempt = async (name: string, work: () => Promise<unknown>) => {
    if (failures.has(name)) return
    try {
      await work()
    } catch (error) {
      failures.set(name, error instanceof Error ? error.message : String(error))
    }
  }
  for (const { name, warmUp } of contenders) if (warmUp) await attempt(name, warmUp)
  const startedAt = performance.now()
  for (let round = 0; round < limits.rounds; round++) {
    const elapsed = (performance.now() - startedAt) / 1000
    if (round > 0 && elapsed + elapsed / round > limits.seconds) break
    const order = round % 2 === 0 ? contenders : contenders.toReversed()
    for (const { name, run } of order) await attempt(name, async () => results.get(name)?.push(await run()))
  }
  return contenders.map(({ name }) => ({ name, rounds: results.get(name) ?? [], failure: failures.get(name) }))
}
