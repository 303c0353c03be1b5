import type { Role } from '../../../src/protocol/view.ts'
import type { Operator, Relay } from './relay.ts'
import { type Outcome, type Plan, play, TRANSFERS } from './scenario.ts'
import { leaks } from './search.ts'
import { Seed } from './seed.ts'
import { misuses } from './watch.ts'

/** An operator against a role, and the expected outcome. */
export interface Case {
  readonly operator: string
  /** Whose input the relay changes. */
  readonly against: Role
  readonly plan: (seed: Seed) => Omit<Plan, 'seed'> | Promise<Omit<Plan, 'seed'>>
  /** The sender's error, the rows that its person sees, and the guesses it counts. */
  readonly sender: readonly [names: Outcome['sender']['names'], rows: number, guesses: number | undefined]
  /** The receiver's error, the numbers it shows, and the tags it has emitted. */
  readonly receiver: readonly [names: Outcome['receiver']['names'], numbers: number, tags: number]
}

export type Ends = Pick<Case, 'sender' | 'receiver'>
export const ends = (sender: Case['sender'], receiver: Case['receiver']): Ends => ({ sender, receiver })

/** No harm: everything arrived, and both know it. */
export const GOOD = ends(['delivered', 1, 0], ['complete', 1, 1])
/** Both wait, before the code is proven and after the approval. */
export const UNMET = ends(['waits', 0, 0], ['waits', 0, 0])
export const STUCK = ends(['waits', 1, 0], ['waits', 1, 1])
/** The handshake fails: refused before any tag, behind the receiver's, as a guess, at m2, and at m4. */
export const REFUSED = ends(['peer_misbehaved', 0, 0], ['wrong_code', 0, 0])
export const BROKEN = ends(['peer_misbehaved', 0, 0], ['wrong_code', 0, 1])
export const GUESSED = ends(['wrong_code', 0, 1], ['wrong_code', 0, 1])
export const UNANSWERED = ends(['waits', 0, 0], ['wrong_code', 0, 0])
export const UNPROVEN = ends(['waits', 1, 0], ['wrong_code', 0, 1])
/** The sealed bytes differ from those sent, before a word of the receiver about it, and before the sender has said all. */
export const CORRUPT_THERE = ends(['not_delivered', 1, 0], ['corrupt', 1, 1])
/** All was sent and taken, and the word of it is not to be believed. */
export const UNHEARD = ends(['unconfirmed', 1, 0], ['revoked', 1, 1])
/** The sender takes the relay for a liar, once a device is approved. */
export const CAUGHT = ends(['relay_misbehaved', 1, 0], ['closed_by_sender', 1, 1])

/** The view of an attack: `code` once the sender shows it. */
interface Scene {
  readonly seed: Seed
  readonly relay: Relay
  readonly code: () => string
}

/** A case that is its operators, and what else is not as usual. */
export const attack = (
  operator: string,
  against: Role,
  ends: Ends,
  attackers: (scene: Scene) => readonly Operator[],
  more: Omit<Plan, 'seed' | 'operators'> = {},
): Case => ({
  operator,
  against,
  plan: (seed) => ({ ...more, operators: (relay, code) => attackers({ seed, relay, code }) }),
  ...ends,
})

export interface Verdict {
  /** The operator, its role and what came of it, under `COLUMNS`. */
  readonly line: string
  /** Faults. Empty when everything follows the design. */
  readonly faults: readonly string[]
}

/** `budgets`: also spends what is left of the code's budgets, to know what was taken. */
export async function judge(each: Case, budgets = true): Promise<Verdict> {
  const { operator, against } = each
  const seed = new Seed(operator, against)
  const plan = await each.plan(seed)
  const outcome = await play({ ...plan, seed, budgets })
  const { sender, receiver, relay } = outcome
  const tags =
    relay.frames.filter(({ from, seq }) => from === 'receiver' && seq === 2).length - (plan.rehearsed ? 1 : 0)
  const [numbers, rows] = [receiver.number === undefined ? 0 : 1, sender.rows.length]
  const seen = {
    sender: columnsOfSender([sender.names, rows, sender.guesses], budgets),
    receiver: columnsOfReceiver([receiver.names, numbers, receiver.tags ?? tags]),
  }
  const expected = { sender: columnsOfSender(each.sender, budgets), receiver: columnsOfReceiver(each.receiver) }
  const faults = faultsOf(outcome, plan.transfers)
  if (plan.approves === false && receiver.received.length > 0) faults.push('bytes received and nobody approved')
  if (seen.sender !== expected.sender) faults.push(`the sender should have: ${squeezed(expected.sender)}`)
  if (seen.receiver !== expected.receiver) faults.push(`the receiver should have: ${squeezed(expected.receiver)}`)
  return { line: `${operator.padEnd(OPERATOR_MAX)} ${against.padEnd(9)} ${seen.sender}  ${seen.receiver}`, faults }
}

/** The longest name of an operator: lines end within 120 columns. */
export const OPERATOR_MAX = 42
const NAME = 17
const columns = (name: string, ...cells: string[]) => `${name.padEnd(NAME)} ${cells.join(' ')}`
/** `guesses`: wrong guesses counted, `shut` when nobody is admitted any more, `-` when not asked. */
export const COLUMNS = `${'operator'.padEnd(OPERATOR_MAX)} ${'against'.padEnd(9)} ${columns('sender names', 'rows', 'guesses')}  ${columns('receiver names', 'number', 'tags')}`

function columnsOfSender([names, rows, guesses]: Case['sender'], budgets: boolean): string {
  const spent = budgets ? (guesses ?? 'shut') : '-'
  return columns(names, `${rows}`.padStart(4), `${spent}`.padStart(7))
}

function columnsOfReceiver([names, numbers, tags]: Case['receiver']): string {
  return columns(names, (numbers === 0 ? 'no' : 'yes').padStart(6), `${tags}`.padStart(4))
}

const squeezed = (cells: string) => cells.replaceAll(/ +/g, ' ')

/** Faults under any relay. */
export function faultsOf(outcome: Outcome, transfers: readonly (readonly Uint8Array[])[] = TRANSFERS): string[] {
  const { sender, receiver, unwiped } = outcome
  const faults = [...unwiped.map((what) => `not wiped: ${what}`), ...misuses, ...sender.faults]
  receiver.received.forEach((items, i) => {
    items.forEach((bytes, j) => {
      if (
        !Buffer.from(transfers[i]?.[j] ?? [])
          .subarray(0, bytes.length)
          .equals(bytes)
      )
        faults.push('other bytes received than sent')
    })
    const whole =
      items.length === transfers[i]?.length && items.every((bytes, j) => bytes.length === transfers[i][j].length)
    if (i < receiver.complete && !whole) faults.push('a transfer counts as complete and is not')
  })
  if (receiver.received.length > 0 && sender.rows.length === 0) faults.push('bytes received from nobody')
  if (receiver.received.length > 0 && receiver.number === undefined) faults.push('bytes received before the number')
  if (sender.delivered > receiver.complete) faults.push('Delivered, and it is not')
  if (receiver.names === 'complete' && receiver.complete !== transfers.length) faults.push('complete without the end')
  return [...faults, ...leaks(outcome).map((what) => `the relay heard ${what}`)]
}
