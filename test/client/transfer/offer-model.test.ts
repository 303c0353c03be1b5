import { describe, expect, test } from 'vitest'
import {
  allowed,
  cutOfferer,
  hear,
  hearOfferer,
  type OffererLife,
  say,
  sayAll,
  type TakerLife,
  withdraw,
} from '../../../src/client/transfer/offer-life.ts'
import { explore } from './explore.ts'

/** An offer over all interleavings of its two sides, with the connection cut at every point. */

type FromOfferer = Parameters<typeof hearOfferer>[1]
type FromTaker = Parameters<typeof hear>[1]

interface State {
  readonly offerer: OffererLife
  readonly taker: TakerLife
  /** Words of the offerer that are queued, and were on no socket. */
  readonly queued: readonly FromOfferer[]
  readonly toTaker: readonly FromOfferer[]
  readonly toOfferer: readonly FromTaker[]
  /** Faults on the way, if any: two sides that keep to the rules never break them. */
  readonly fault?: string
}

const TOTAL = 2
const ALLOWANCE = 1
const offer = 1
const start: State = {
  offerer: { is: 'undecided', withdrawn: false },
  taker: { is: 'undecided' },
  queued: [],
  toTaker: [],
  toOfferer: [],
}

function moves(state: State): State[] {
  if (state.fault) return []
  const { offerer, taker } = state
  const next: State[] = []
  const offererDoes = (life: OffererLife, word: FromOfferer) =>
    next.push({ ...state, offerer: life, queued: [...state.queued, word] })
  const takerDoes = (life: TakerLife, word: FromTaker) =>
    next.push({ ...state, taker: life, toOfferer: [...state.toOfferer, word] })

  // The offerer's app and writer.
  const canWithdraw = offerer.is !== 'over' && !offerer.withdrawn
  if (canWithdraw) offererDoes(withdraw(offerer), { kind: 'withdraw', offer, reason: 'cancelled' })
  if (offerer.is === 'running' && !offerer.withdrawn) {
    const isAllSaid = state.queued.some(({ kind }) => kind === 'sent')
    if (offerer.said === TOTAL && !isAllSaid) offererDoes(offerer, { kind: 'sent', offer, bytes: TOTAL })
    else if (offerer.said < TOTAL && allowed(offerer) > 0) offererDoes(say(offerer, 1), { kind: 'content', offer })
  }

  // The taker's app.
  const stop: FromTaker = { kind: 'stop', offer, reason: 'cancelled' }
  if (taker.is === 'undecided') {
    const yes: FromTaker = { kind: 'answer', offer, accepted: true, through: ALLOWANCE }
    takerDoes({ is: 'running', received: 0, taken: 0, through: ALLOWANCE }, yes)
    takerDoes({ is: 'comparing', through: ALLOWANCE }, { ...yes, resume: 'a hint that is known' })
    takerDoes({ is: 'over', by: 'no' }, { kind: 'answer', offer, accepted: false, reason: 'declined' })
  }
  if (taker.is === 'running' || taker.is === 'whole') {
    takerDoes({ is: 'over', by: 'stop' }, stop)
    if (taker.taken < taker.received) {
      const taken = taker.taken + 1
      takerDoes(
        { ...taker, taken, through: taken + ALLOWANCE },
        { kind: 'take', offer, taken, through: taken + ALLOWANCE },
      )
    }
    if (taker.is === 'whole' && taker.taken === TOTAL) {
      takerDoes({ is: 'over', by: 'receipt' }, { kind: 'receipt', offer, bytes: TOTAL })
    }
  }
  if (taker.is === 'comparing') {
    takerDoes({ is: 'running', received: 0, taken: 0, through: ALLOWANCE }, { kind: 'start', offer })
    takerDoes({ is: 'over', by: 'stop' }, stop)
  }

  // The network, in order each way.
  const [written, ...stillQueued] = state.queued
  if (written) {
    const life = written.kind === 'sent' ? sayAll(offerer) : offerer
    next.push({ ...state, offerer: life, queued: stillQueued, toTaker: [...state.toTaker, written] })
  }
  const [forTaker, ...laterForTaker] = state.toTaker
  if (forTaker) {
    const heard = attempt(() => hearOfferer(taker, forTaker, forTaker.kind === 'content' ? 1 : 0))
    const answers = forTaker.kind === 'withdraw' && taker.is !== 'over' && taker.is !== 'whole'
    const word: FromTaker[] = answers ? [{ kind: 'stop', offer, reason: 'withdrawn' }] : []
    next.push({ ...state, ...heard('taker'), toTaker: laterForTaker, toOfferer: [...state.toOfferer, ...word] })
  }
  const [forOfferer, ...laterForOfferer] = state.toOfferer
  if (forOfferer) {
    const heard = attempt(() => hear(offerer, forOfferer))
    next.push({ ...state, ...heard('offerer'), toOfferer: laterForOfferer })
  }
  return next
}

function attempt(hearing: () => OffererLife | TakerLife) {
  try {
    const life = hearing()
    return (who: 'offerer' | 'taker') => ({ [who]: life })
  } catch (error) {
    return () => ({ fault: String(error) })
  }
}

/** Returns the words for the taker's person if the connection ends now. */
function takerReports({ taker }: State): readonly ('received' | 'incomplete' | 'nothing')[] {
  if (taker.is === 'over') return [taker.by === 'receipt' ? 'received' : 'nothing']
  // Everything is there: the app can still make it final, or fail.
  if (taker.is === 'whole') return ['received', 'incomplete']
  return [taker.is === 'undecided' || taker.is === 'listing' ? 'nothing' : 'incomplete']
}

const states = explore(start, moves)

describe('one offer, cut at every point', () => {
  test('reports only what the table of 10.3 has', () => {
    const pairs = new Set(
      states.flatMap(({ state }) => takerReports(state).map((taker) => `${cutOfferer(state.offerer).is} / ${taker}`)),
    )
    expect([...pairs].toSorted()).toEqual([
      'declined / nothing',
      'delivered / received',
      'not_delivered / incomplete',
      'not_delivered / nothing',
      'stopped / nothing',
      'unconfirmed / incomplete',
      'unconfirmed / nothing',
      'unconfirmed / received',
    ])
  })

  test('is never broken by a side that keeps to the rules', () => {
    expect(states.filter(({ state }) => state.fault)).toEqual([])
  })

  test('ends with one last word of the taker where nothing cuts it', () => {
    const ends = states.filter(({ isEnd }) => isEnd).map(({ state }) => state)
    expect(ends.length).toBeGreaterThan(0)
    for (const { offerer, taker, queued, toTaker, toOfferer } of ends) {
      expect([offerer.is, taker.is, queued, toTaker, toOfferer]).toEqual(['over', 'over', [], [], []])
    }
  })

  test('is unconfirmed only after everything went out and before the last word came', () => {
    for (const { state } of states) {
      const isUnconfirmed = cutOfferer(state.offerer).is === 'unconfirmed'
      expect(isUnconfirmed).toBe(state.offerer.is === 'sent')
      if (isUnconfirmed) expect(state.queued).not.toContainEqual(expect.objectContaining({ kind: 'sent' }))
    }
  })
})
