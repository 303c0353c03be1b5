import type { Role } from '../../src/protocol/frames.ts'
import { type Outcome, type Plan, play, TRANSFERS } from './scenario.ts'
import { leaks } from './search.ts'
import { Seed } from './seed.ts'

/** One operator against one role, and what comes of it. */
export interface Case {
  readonly operator: string
  /** Whose input the relay changes. */
  readonly against: Role
  readonly plan: (seed: Seed) => Omit<Plan, 'seed'> | Promise<Omit<Plan, 'seed'>>
  /** What the sender names, the rows its person sees, the guesses it counts. */
  readonly sender: readonly [names: Outcome['sender']['names'], rows: number, guesses: number | undefined]
  /** What the receiver names, the numbers it shows, the tags it has emitted. */
  readonly receiver: readonly [names: Outcome['receiver']['names'], numbers: number, tags: number]
}

export interface Verdict {
  readonly sender: string
  readonly receiver: string
  /** What should not be. Empty when everything is as the design says. */
  readonly faults: readonly string[]
}

export async function judge(each: Case): Promise<Verdict> {
  const { operator, against } = each
  const seed = new Seed(operator, against)
  const plan = await each.plan(seed)
  const outcome = await play({ ...plan, seed, budgets: true })
  const { sender, receiver } = outcome
  const seen = {
    sender: describeSender([sender.names, sender.rows.length, sender.guesses]),
    receiver: describeReceiver([receiver.names, receiver.number === undefined ? 0 : 1, receiver.tags ?? 0]),
  }
  const expected = { sender: describeSender(each.sender), receiver: describeReceiver(each.receiver) }
  const faults = faultsOf(outcome, plan.transfers)
  if (seen.sender !== expected.sender) faults.push(`the sender should have: ${expected.sender}`)
  if (seen.receiver !== expected.receiver) faults.push(`the receiver should have: ${expected.receiver}`)
  return { ...seen, faults }
}

const describeSender = ([names, rows, guesses]: Case['sender']) =>
  `${names}, ${rows} ${rows === 1 ? 'row' : 'rows'}, ${guesses === undefined ? 'admits nobody' : `${guesses} guesses`}`
const describeReceiver = ([names, numbers, tags]: Case['receiver']) =>
  `${names}, ${numbers === 0 ? 'no number' : 'a number'}, ${tags} ${tags === 1 ? 'tag' : 'tags'}`

/** What must not be, whatever a relay does. */
export function faultsOf(outcome: Outcome, transfers: readonly (readonly Uint8Array[])[] = TRANSFERS): string[] {
  const { sender, receiver, unwiped } = outcome
  const faults = unwiped.map((what) => `not wiped: ${what}`)
  receiver.received.forEach((items, i) => {
    items.forEach((bytes, j) => {
      if (!Buffer.from(transfers[i]?.[j] ?? []).subarray(0, bytes.length).equals(bytes)) faults.push('other bytes received than sent')
    })
    const whole = items.length === transfers[i]?.length && items.every((bytes, j) => bytes.length === transfers[i][j].length)
    if (i < receiver.complete && !whole) faults.push('a transfer counts as complete and is not')
  })
  if (receiver.received.length > 0 && sender.rows.length === 0) faults.push('bytes received from nobody')
  if (receiver.received.length > 0 && receiver.number === undefined) faults.push('bytes received before the number')
  if (sender.delivered > receiver.complete) faults.push('Delivered, and it is not')
  if (receiver.names === 'complete' && receiver.complete !== transfers.length) faults.push('complete without the end')
  return [...faults, ...leaks(outcome).map((what) => `the relay heard ${what}`)]
}
