import { PairingError } from '../errors.ts'
import type { HeadOf, NoReason, StopReason, WithdrawReason } from './kinds.ts'

/**
 * The life of one offer, as each side sees it: values and pure functions, PROTOCOL.md 10.3. The taker has the last word,
 * exactly one: `answer` no, `stop` or `receipt`. What the offerer reports follows from that word alone.
 */

/** The offerer's side. `said` is the length of the stream so far; `taken` what the other app has of it. */
export type OffererLife =
  | { readonly is: 'undecided'; readonly withdrawn: boolean }
  | { readonly is: 'comparing'; readonly withdrawn: boolean; readonly through: number }
  | (Running & { readonly is: 'running' | 'sent'; readonly withdrawn: boolean })
  | { readonly is: 'over'; readonly outcome: Outcome }

/** The taker's side. `received` is the length of the stream that came. */
export type TakerLife =
  | { readonly is: 'listing' | 'undecided' }
  | { readonly is: 'comparing'; readonly through: number }
  | { readonly is: 'running' | 'whole'; readonly received: number; readonly taken: number; readonly through: number }
  | { readonly is: 'over'; readonly by: 'no' | 'stop' | 'receipt' }

interface Running {
  readonly through: number
  readonly said: number
  readonly taken: number
}

/** Outcome of an offer, for its offerer. */
export type Outcome =
  | { readonly is: 'delivered'; readonly bytes: number; readonly skipped: number }
  | { readonly is: 'declined'; readonly reason: NoReason }
  | { readonly is: 'stopped'; readonly reason: StopReason; readonly taken: number }
  | { readonly is: 'not_delivered'; readonly taken: number }
  /** All of it went out and no word came back: only a look at the other device tells. */
  | { readonly is: 'unconfirmed' }

type Word = HeadOf<'answer' | 'start' | 'take' | 'receipt' | 'stop'>
type OffererWord = HeadOf<'check' | 'content' | 'sent' | 'withdraw'>

const corrupt = () => new PairingError('corrupt')

/** The offerer hears a word of the taker about this offer. Throws PairingError `corrupt` for one that cannot be. */
export function hear(life: OffererLife, word: Word): OffererLife {
  if (life.is === 'over') {
    if (word.kind === 'take') return life
    throw corrupt()
  }
  switch (word.kind) {
    case 'answer':
      if (life.is !== 'undecided') throw corrupt()
      if (!word.accepted) return { is: 'over', outcome: { is: 'declined', reason: word.reason ?? 'declined' } }
      if (word.resume !== undefined) return { is: 'comparing', withdrawn: life.withdrawn, through: word.through ?? 0 }
      return { is: 'running', withdrawn: life.withdrawn, through: word.through ?? 0, said: 0, taken: 0 }
    case 'start':
      if (life.is !== 'comparing') throw corrupt()
      return { ...life, is: 'running', said: 0, taken: 0 }
    case 'take': {
      if (life.is !== 'running' && life.is !== 'sent') throw corrupt()
      const { taken = 0, through = 0 } = word
      if (taken < life.taken || taken > life.said || through < life.through) throw corrupt()
      return { ...life, taken, through }
    }
    case 'receipt':
      if (life.is !== 'sent' || word.bytes !== life.said) throw corrupt()
      return { is: 'over', outcome: { is: 'delivered', bytes: word.bytes, skipped: word.skipped ?? 0 } }
    case 'stop':
      return { is: 'over', outcome: { is: 'stopped', reason: word.reason, taken: takenOf(life) } }
  }
}

/** Returns how many bytes of the stream may be said now. */
export function allowed(life: OffererLife): number {
  return life.is === 'running' && !life.withdrawn ? life.through - life.said : 0
}

/** `bytes` more of the stream went out. */
export function say(life: OffererLife, bytes: number): OffererLife {
  if (life.is !== 'running' || bytes > allowed(life)) throw corrupt()
  return { ...life, said: life.said + bytes }
}

/** `sent` goes to a socket, perhaps with `withdraw` behind it: from here on a cut leaves it open whether the taker has everything. */
export function sayAll(life: OffererLife): OffererLife {
  if (life.is !== 'running') return life
  return { ...life, is: 'sent' }
}

/** `withdraw` went out: a request. Nothing follows but the taker's last word. */
export function withdraw(life: OffererLife): OffererLife {
  return life.is === 'over' ? life : { ...life, withdrawn: true }
}

/** The connection has ended for good. */
export function cutOfferer(life: OffererLife): Outcome {
  if (life.is === 'over') return life.outcome
  return life.is === 'sent' ? { is: 'unconfirmed' } : { is: 'not_delivered', taken: takenOf(life) }
}

function takenOf(life: OffererLife): number {
  return life.is === 'running' || life.is === 'sent' ? life.taken : 0
}

/**
 * The taker hears a word of the offerer about this offer; `bytes` is the content in it. After its own last word it drops
 * what comes. Throws PairingError `corrupt` for a word that cannot be.
 */
export function hearOfferer(life: TakerLife, word: OffererWord, bytes = 0): TakerLife {
  if (life.is === 'over') return life
  switch (word.kind) {
    case 'check':
      if (life.is !== 'comparing') throw corrupt()
      return life
    case 'content':
      if (life.is !== 'running' || life.received + bytes > life.through) throw corrupt()
      return { ...life, received: life.received + bytes }
    case 'sent':
      if (life.is !== 'running' || word.bytes !== life.received) throw corrupt()
      return { ...life, is: 'whole' }
    case 'withdraw':
      // With everything here, what the taker says next stands.
      return life.is === 'whole' ? life : { is: 'over', by: 'stop' }
  }
}

/** The error of a taker whose offerer takes an offer back. */
export function errorOfWithdrawal(reason: WithdrawReason): PairingError {
  if (reason === 'source_changed') return new PairingError(reason)
  return new PairingError(reason === 'failed' ? 'sender_failed' : 'cancelled')
}
