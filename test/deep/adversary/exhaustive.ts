import { faultsOf } from './cases.ts'
import { ofChunks, type Rearrangement, rearranged, rearrangements } from './payload.ts'
import { play } from './scenario.ts'
import { Seed } from './seed.ts'

/** Every drop, repetition, cut and transposition of the frames of a transfer of so many chunks. */

/** The receiver's outcome: it waits for a message that stops; the last chunk twice is nonsense. */
function expected(name: string, chunks: number): { readonly names: string; readonly complete: number } {
  const [verb, index] = [name.split(' ')[0], Number(name.split(' ').at(-1))]
  if (verb === 'cut' || (verb === 'drop' && index === chunks - 1)) return { names: 'waits', complete: 0 }
  return { names: 'corrupt', complete: 0 }
}

async function rearrange(chunks: number, [name, change]: Rearrangement) {
  const plan = ofChunks(chunks, () => [rearranged(chunks, change)])
  const outcome = await play({ ...plan, seed: new Seed('rearranged', chunks, name) })
  const { receiver, sender } = outcome
  const { names, complete } = expected(name, chunks)
  const faults = faultsOf(outcome, plan.transfers)
  if (receiver.names !== names) faults.push(`the receiver says ${receiver.names} instead of ${names}`)
  if (receiver.complete !== complete || sender.delivered !== complete) {
    faults.push(`${receiver.complete} complete and ${sender.delivered} delivered instead of ${complete}`)
  }
  return { name: `${chunks} chunks, ${name}`, faults }
}

export async function* everyRearrangement(chunksMax: number) {
  for (let chunks = 1; chunks <= chunksMax; chunks++) {
    for (const each of rearrangements(chunks)) yield await rearrange(chunks, each)
  }
}
