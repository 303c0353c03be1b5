import fc from 'fast-check'
import { test } from 'vitest'

/** Every property runs on the same cases each time; PROPERTY_SEED and PROPERTY_RUNS look at others, or at more of them. */
const SEED = Number(process.env.PROPERTY_SEED ?? 20_251_121)
const FACTOR = Number(process.env.PROPERTY_RUNS ?? 1)

/** A test that holds for all inputs. Its name has the seed. */
export function holds<T>(
  name: string,
  runs: number,
  arbitrary: fc.Arbitrary<T>,
  predicate: (value: T) => Promise<void> | void,
): void {
  test(`${name} (${runs * FACTOR} runs, seed ${SEED})`, { timeout: 300_000 * FACTOR }, async () => {
    const property = fc.asyncProperty(arbitrary, async (value) => predicate(value))
    await fc.assert(property, { seed: SEED, numRuns: runs * FACTOR })
  })
}

/** Commands of these names, with these fields, and so often among others: a choice of `fc.oneof`. */
export function often<const N extends string, F extends object>(
  weight: number,
  names: readonly N[],
  fields: { readonly [K in keyof F]: fc.Arbitrary<F[K]> },
) {
  const arbitrary = fc.record({ do: fc.constantFrom(...names), ...fields })
  return { weight, arbitrary: arbitrary as unknown as fc.Arbitrary<{ readonly do: N } & Readonly<F>> }
}
