import { describe, expect, test } from 'vitest'
import { isFree, next } from '../../src/web/flow/next.ts'
import { type Event, type Item, type Question, START, type State, type Transfer } from '../../src/web/flow/state.ts'

const ITEM: Item = { id: 1, name: 'a.txt', bytes: 3, isText: false }
const ASKED: Question = { id: 5, name: 'Firefox on Linux', number: '482913', choices: ['482913', '000001', '000002'] }
const SECOND: Question = { ...ASKED, id: 6, number: '771204' }
const CODE = { code: 'K7QM3-XPDT28', link: 'https://r/#K7QM3-XPDT28', goodUntil: 9, isFollowed: true, isRenewed: false }
const PEER = { id: 20, name: undefined, number: '482913', isAway: false, hasLeft: false }
const OUT: Transfer = {
  ...{ id: 30, peer: 20, way: 'out', names: ['a.txt'], count: 1, bytes: 3, isText: false },
  stage: { is: 'offered' },
}
const IN: Transfer = { ...OUT, id: 31, way: 'in', stage: { is: 'asked', plan: 'memory' } }

/** Events of each kind, and more than one where their parts matter. */
const EVENTS: readonly Event[] = [
  { is: 'items', items: [ITEM] },
  { is: 'items', items: [], unreadable: 'gone.txt' },
  { is: 'remove', items: [1] },
  { is: 'wanted', devices: 3 },
  { is: 'wanted', devices: Number.NaN },
  { is: 'write' },
  { is: 'back' },
  { is: 'ask', open: true },
  { is: 'code_typed', code: 'K7QM3' },
  { is: 'link', code: 'K7QM3-XPDT28', from: 'link' },
  { is: 'scan' },
  { is: 'opening' },
  { is: 'opened', pairing: CODE },
  { is: 'life', goodUntil: 12, isFollowed: false, isRenewed: true },
  { is: 'strangers', wrongCodes: 1, unproven: 2 },
  { is: 'used_up' },
  { is: 'question', question: ASKED, mustType: false },
  { is: 'question', question: SECOND, mustType: true },
  { is: 'question_gone', question: 5 },
  { is: 'deciding', question: 5 },
  { is: 'chosen_wrong' },
  { is: 'must_type' },
  { is: 'typed_unknown' },
  { is: 'joining' },
  { is: 'verified', number: '482913' },
  { is: 'sender_presence', away: true },
  { is: 'paired', peer: PEER, question: 5 },
  { is: 'peer', peer: 20, change: { hasLeft: true } },
  { is: 'connect' },
  { is: 'transfer', transfer: OUT },
  { is: 'transfer', transfer: IN },
  { is: 'stage', transfer: 30, stage: { is: 'stopping' } },
  { is: 'stage', transfer: 30, stage: { is: 'delivered', bytes: 3, ms: 5, skipped: 0 } },
  { is: 'stage', transfer: 31, stage: { is: 'withdrawn' } },
  { is: 'connection', connection: 'reconnecting' },
  { is: 'ended', code: 'expired', role: 'sender' },
  { is: 'earlier', earlier: [] },
  { is: 'reset' },
]

/** Names what matters of a state: two that look so alike have the same future. */
function shapeOf({ screen, pairing, ...rest }: State): string {
  const parts = pairing && {
    ...{ asked: pairing.questions.map(({ id }) => id), wanted: pairing.wanted, admitted: pairing.admitted },
    ...{ typing: pairing.typing, deciding: pairing.deciding },
  }
  const few = rest.items.length > 0
  return JSON.stringify([
    screen,
    parts,
    few,
    rest.peers.length,
    rest.transfers.map(({ stage }) => stage.is),
    rest.isWriting,
  ])
}

/** States that are reached within some steps. A person or a peer does not do much more of one kind. */
function reached(steps: number): State[] {
  const known = new Map([[shapeOf(START), START]])
  let edge = [START]
  for (let step = 0; step < steps; step++) {
    const found: State[] = []
    for (const state of edge) {
      for (const event of EVENTS) {
        const after = next(state, event)
        const isSmall =
          after.transfers.length < 3 && after.peers.length < 4 && (after.pairing?.questions.length ?? 0) < 3
        if (!isSmall || known.has(shapeOf(after))) continue
        known.set(shapeOf(after), after)
        found.push(after)
      }
    }
    edge = found
  }
  return [...known.values()]
}

const STATES = reached(9)

/** Facts that hold in every state, each with its name. */
const INVARIANTS: Readonly<Record<string, (state: State) => boolean>> = {
  'a code belongs to the screen that shows it': ({ screen, pairing }) =>
    (screen.is === 'pairing') === (pairing !== undefined),
  'who joins has a screen for it': ({ screen, joining }) =>
    (joining !== undefined) === ['looking', 'number'].includes(screen.is),
  'a number is there when it is shown': ({ screen, joining }) =>
    screen.is !== 'number' || joining?.number !== undefined,
  'something is chosen where it is listed': ({ screen, items }) => screen.is !== 'chosen' || items.length > 0,
  'paired with nobody is not connected': ({ screen, peers }) => screen.is !== 'connected' || peers.length > 0,
  'a transfer is with somebody': ({ peers, transfers }) => transfers.length === 0 || peers.length > 0,
  'a text is written to somebody': ({ screen, isWriting }) => !isWriting || screen.is === 'connected',
  'no more are let in than wanted': ({ pairing }) => !pairing || pairing.admitted < pairing.wanted,
  'several who know the code are typed, never chosen': ({ pairing }) =>
    !pairing || pairing.questions.length < 2 || pairing.typing !== 'no',
  'one to eight devices': ({ wanted }) => wanted >= 1 && wanted <= 8,
}

describe('states', () => {
  test('all screens are reached', () => {
    const screens = new Set(STATES.map(({ screen }) => screen.is))
    const all = [
      'start',
      'chosen',
      'text',
      'opening',
      'pairing',
      'enter',
      'scan',
      'looking',
      'number',
      'connected',
      'end',
    ]
    expect([...screens].sort()).toEqual(all.sort())
  })

  test.each(Object.entries(INVARIANTS))('%s, after every event in every state', (_, holds) => {
    const broken = STATES.flatMap((state) =>
      EVENTS.filter((event) => !holds(next(state, event))).map(({ is }) => [state, is]),
    )
    expect(broken).toEqual([])
  })

  test('no event of another changes what a person sees before there is a code', () => {
    const others = EVENTS.filter(({ is }) =>
      ['question', 'paired', 'transfer', 'stage', 'verified', 'life'].includes(is),
    )
    for (const state of STATES.filter(isFree).filter(({ pairing, joining }) => !pairing && !joining))
      for (const event of others) expect(next(state, event).screen).toEqual(state.screen)
  })

  test('a wrong choice, a second device and its leaving: the number stays to be typed', () => {
    const code = [EVENTS[0], { is: 'opening' }, { is: 'opened', pairing: CODE }] as Event[]
    const outcome = (...events: Event[]) => [...code, ...events].reduce(next, START)
    const asked: Event = { is: 'question', question: ASKED, mustType: false }
    expect(outcome(asked).pairing?.typing).toBe('no')
    expect(outcome(asked, { is: 'chosen_wrong' }).pairing?.typing).toBe('wrong_choice')
    const both: Event[] = [asked, { is: 'question', question: SECOND, mustType: false }]
    expect(outcome(...both).pairing?.typing).toBe('several')
    expect(outcome(...both, { is: 'question_gone', question: 6 }).pairing?.typing).toBe('several')
  })

  test('a link opened while a code is shown changes nothing', () => {
    for (const state of STATES.filter(({ screen }) => ['pairing', 'number', 'connected'].includes(screen.is)))
      expect(next(state, { is: 'link', code: 'K7QM3-XPDT28' })).toBe(state)
  })

  test('the last word of a transfer stays', () => {
    const paired: Event[] = [{ is: 'joining' }, { is: 'paired', peer: PEER }, { is: 'transfer', transfer: IN }]
    const outcome = (...events: Event[]) => [...paired, ...events].reduce(next, START).transfers[0]?.stage.is
    expect(outcome({ is: 'stage', transfer: 31, stage: { is: 'withdrawn' } })).toBe('withdrawn')
    expect(
      outcome(
        { is: 'stage', transfer: 31, stage: { is: 'received', isCopy: false, isByHand: false, skipped: 0 } },
        { is: 'stage', transfer: 31, stage: { is: 'withdrawn' } },
      ),
    ).toBe('received')
  })

  test('a goodbye needs no words once everything has arrived, and is told while something has not', () => {
    const paired: Event[] = [{ is: 'joining' }, { is: 'paired', peer: PEER }, { is: 'transfer', transfer: OUT }]
    const goodbye: Event = { is: 'ended', code: 'receiver_left', role: 'sender' }
    const arrived: Event = { is: 'stage', transfer: 30, stage: { is: 'delivered', bytes: 3, ms: 5, skipped: 0 } }
    expect([...paired, goodbye].reduce(next, START).left).toBe('receiver_left')
    expect([...paired, arrived, goodbye].reduce(next, START).left).toBeUndefined()
    expect([...paired, arrived, { ...goodbye, code: 'session_lost' } as Event].reduce(next, START).left).toBe(
      'session_lost',
    )
  })

  test('an offer that was stopped stays so until the other device has said its last word', () => {
    const paired: Event[] = [{ is: 'joining' }, { is: 'paired', peer: PEER }, { is: 'transfer', transfer: OUT }]
    const stage = (...stages: (Event & { is: 'stage' })['stage'][]) => {
      const events = stages.map((each): Event => ({ is: 'stage', transfer: 30, stage: each }))
      return [...paired, ...events].reduce(next, START).transfers[0]?.stage.is
    }
    const running = { is: 'running', done: 1, perSecond: undefined } as const
    expect(stage(running, { is: 'stopping' }, running)).toBe('stopping')
    expect(stage(running, { is: 'stopping' }, { is: 'failed', code: 'aborted' })).toBe('failed')
    expect(stage({ is: 'stopping' }, { is: 'delivered', bytes: 3, ms: 5, skipped: 0 })).toBe('delivered')
    expect(stage({ is: 'delivered', bytes: 3, ms: 5, skipped: 0 }, { is: 'stopping' })).toBe('delivered')
  })

  test('what a device that is let in offers while others are waited for is there when the page goes on', () => {
    const first: Event[] = [
      { is: 'items', items: [ITEM] },
      { is: 'wanted', devices: 3 },
      { is: 'opening' },
      { is: 'opened', pairing: CODE },
      { is: 'question', question: ASKED, mustType: false },
      { is: 'paired', peer: PEER, question: 5 },
      { is: 'transfer', transfer: IN },
    ]
    const ends: Record<string, Event[]> = {
      'the person goes on': [{ is: 'connect' }],
      'the others come': [SECOND, { ...SECOND, id: 7 }].map((question) => ({
        is: 'paired',
        peer: { ...PEER, id: question.id },
        question: question.id,
      })),
      'the time is over': [{ is: 'ended', code: 'expired', role: 'sender' }],
      'another device was not let in': [{ is: 'ended', code: 'number_not_unique', role: 'sender' }],
    }
    for (const [name, events] of Object.entries(ends)) {
      const { screen, transfers } = [...first, ...events].reduce(next, START)
      expect([name, screen.is, transfers.map(({ id }) => id)]).toEqual([name, 'connected', [31]])
    }
  })
})
