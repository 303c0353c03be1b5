import { type Event, type Pairing, type Peer, type Screen, START, type State, type Transfer } from './state.ts'

/** Devices that one code may let in. */
export const DEVICES_MAX = 8

/** Screens on which a code may be entered, and a link opened. */
const FREE: readonly Screen['is'][] = ['start', 'chosen', 'text', 'enter', 'scan', 'end']

/** Reports whether nothing would be lost by another beginning. */
export function isFree({ screen }: State): boolean {
  return FREE.includes(screen.is)
}

/** Applies an event. An event that does not fit changes nothing. */
export function next(state: State, event: Event): State {
  const { pairing, joining, screen } = state
  switch (event.is) {
    case 'items': {
      const items = [...state.items, ...event.items]
      const { unreadable } = event
      if (!['start', 'chosen', 'text', 'end'].includes(screen.is))
        return { ...state, items, unreadable, isWriting: false }
      return { ...state, items, unreadable, screen: chosenOrStart(items) }
    }
    case 'remove': {
      const items = state.items.filter(({ id }) => !event.items.includes(id))
      return { ...state, items, unreadable: undefined, screen: screen.is === 'chosen' ? chosenOrStart(items) : screen }
    }
    case 'wanted':
      return { ...state, wanted: Math.min(DEVICES_MAX, Math.max(1, Math.trunc(event.devices) || 1)) }
    case 'write':
      if (screen.is === 'connected') return { ...state, isWriting: true }
      return screen.is === 'start' || screen.is === 'chosen' ? { ...state, screen: { is: 'text' } } : state
    case 'back':
      return back(state)
    case 'ask':
      return { ...state, isAsking: event.open }
    case 'code_typed':
      return { ...state, code: event.code }
    case 'link':
      return isFree(state) ? { ...afresh(state), code: event.code, screen: { is: 'enter', from: event.from } } : state
    case 'scan':
      return isFree(state) ? { ...afresh(state), code: state.code, screen: { is: 'scan' } } : state
    case 'joining':
      if (!isFree(state)) return state
      return {
        ...afresh(state),
        code: state.code,
        joining: { number: undefined, isSenderAway: false },
        screen: { is: 'looking' },
      }
    case 'verified':
      return joining ? { ...state, joining: { ...joining, number: event.number }, screen: { is: 'number' } } : state
    case 'sender_presence':
      return joining ? { ...state, joining: { ...joining, isSenderAway: event.away } } : state
    case 'paired':
      return paired(state, event)
    case 'peer': {
      const change = (peer: Peer) => (peer.id === event.peer ? { ...peer, ...event.change } : peer)
      return { ...state, peers: state.peers.map(change) }
    }
    case 'connect':
      return pairing && state.peers.length > 0 ? { ...state, pairing: undefined, screen: { is: 'connected' } } : state
    case 'transfer': {
      // Somebody who is in may offer something while others are still waited for.
      if (state.peers.length === 0) return state
      const items = event.transfer.way === 'out' ? [] : state.items
      return { ...state, items, transfers: [...state.transfers, event.transfer] }
    }
    case 'stage': {
      const change = (each: Transfer) =>
        each.id === event.transfer && mayBecome(each, event.stage.is)
          ? ({ ...each, stage: event.stage } as Transfer)
          : each
      return { ...state, transfers: state.transfers.map(change) }
    }
    case 'connection':
      return { ...state, connection: event.connection }
    case 'ended':
      return ended(state, event)
    case 'earlier':
      return { ...state, earlier: event.earlier }
    case 'reset':
      return afresh(state)
    default:
      return nextOfCode(state, event)
  }
}

/** The beginning. What is kept in this browser is still there. */
function afresh({ earlier }: State): State {
  return { ...START, earlier }
}

type CodeEvent = Extract<
  Event,
  {
    is:
      | 'opening'
      | 'opened'
      | 'life'
      | 'strangers'
      | 'used_up'
      | 'question'
      | 'question_gone'
      | 'deciding'
      | 'chosen_wrong'
      | 'must_type'
      | 'typed_unknown'
  }
>

/** Applies an event of a code that is shown, or of those who come by it. */
function nextOfCode(state: State, event: CodeEvent): State {
  const { pairing, screen } = state
  if (event.is === 'opening')
    return isFree(state) ? { ...state, pairing: undefined, transfers: [], screen: { is: 'opening' } } : state
  if (event.is === 'opened') {
    if (screen.is === 'opening') return { ...state, pairing: fresh(state, event.pairing), screen: { is: 'pairing' } }
    return pairing ? { ...state, pairing: { ...pairing, ...event.pairing } } : state
  }
  if (!pairing) return state
  const change = (part: Partial<Pairing>): State => ({ ...state, pairing: { ...pairing, ...part } })
  switch (event.is) {
    case 'life': {
      const { goodUntil, isFollowed, isRenewed } = event
      return change({ goodUntil, isFollowed, isRenewed })
    }
    case 'strangers':
      return change({ wrongCodes: event.wrongCodes, unproven: event.unproven })
    case 'used_up':
      return change({ isUsedUp: true })
    case 'question': {
      const questions = [...pairing.questions, event.question]
      const typing = questions.length > 1 || event.mustType ? 'several' : pairing.typing
      return change({ questions, typing })
    }
    case 'question_gone': {
      const questions = pairing.questions.filter(({ id }) => id !== event.question)
      const deciding = pairing.deciding === event.question ? undefined : pairing.deciding
      return change({ questions, deciding })
    }
    case 'deciding':
      return change({ deciding: event.question, isUnknownNumber: false })
    case 'chosen_wrong':
      return change({ typing: pairing.typing === 'no' ? 'wrong_choice' : pairing.typing, deciding: undefined })
    case 'must_type':
      return change({ typing: 'several', deciding: undefined })
    case 'typed_unknown':
      return change({ isUnknownNumber: true, deciding: undefined })
    default:
      return event satisfies never
  }
}

function fresh(
  { wanted }: State,
  shown: Pick<Pairing, 'code' | 'link' | 'goodUntil' | 'isFollowed' | 'isRenewed'>,
): Pairing {
  return {
    ...shown,
    questions: [],
    deciding: undefined,
    wanted,
    admitted: 0,
    typing: 'no',
    isUnknownNumber: false,
    wrongCodes: 0,
    unproven: 0,
    isUsedUp: false,
  }
}

function chosenOrStart(items: State['items']): Screen {
  return items.length > 0 ? { is: 'chosen' } : { is: 'start' }
}

function back(state: State): State {
  switch (state.screen.is) {
    case 'text':
      return { ...state, screen: chosenOrStart(state.items) }
    case 'connected':
      return { ...state, isWriting: false }
    case 'scan':
      return { ...afresh(state), code: state.code }
    case 'chosen':
    case 'enter':
    case 'end':
      return afresh(state)
    default:
      return state
  }
}

/** Goes on to the transfers when the last device that was wanted is in. */
function paired(state: State, { peer, question, sessionUntil = state.sessionUntil }: Event & { is: 'paired' }): State {
  const { pairing, joining, screen } = state
  const after = { ...state, peers: [...state.peers, peer], sessionUntil }
  if (screen.is === 'connected') return after
  if (!pairing) return joining ? { ...after, joining: undefined, screen: { is: 'connected' } } : state
  const admitted = pairing.admitted + 1
  if (admitted >= pairing.wanted) return { ...after, pairing: undefined, screen: { is: 'connected' } }
  const questions = pairing.questions.filter(({ id }) => id !== question)
  return { ...after, pairing: { ...pairing, admitted, questions, deciding: undefined, isUnknownNumber: false } }
}

/** Stages in which something is lost when the page goes. */
const UNDER_WAY: readonly string[] = ['offered', 'comparing', 'running', 'stopping', 'saving']

export function isUnderWay({ stage }: Transfer): boolean {
  return UNDER_WAY.includes(stage.is)
}

/** Keeps what has been said last of a transfer. */
function mayBecome({ stage }: Transfer, is: Transfer['stage']['is']): boolean {
  if (stage.is === 'stopping') return is === 'delivered' || is === 'failed'
  if (is === 'withdrawn') return stage.is === 'asked' || stage.is === 'too_large'
  return !['delivered', 'failed', 'saved', 'done', 'text', 'declined', 'withdrawn'].includes(stage.is)
}

/** Ends of which nothing more need be said when everything has arrived. */
const GOODBYES: readonly string[] = ['closed_by_sender', 'closing', 'receiver_left', 'revoked']
const SETTLED: readonly string[] = ['delivered', 'received', 'saved', 'done', 'text', 'declined', 'withdrawn']

/** The list of what was sent and received stays, whatever ended the pairing. */
function ended(state: State, { code, role }: Event & { is: 'ended' }): State {
  const { screen } = state
  if (screen.is === 'start') return state
  // Devices that were let in may have sent something while others were waited for.
  if (screen.is === 'connected' || (screen.is === 'pairing' && state.peers.length > 0)) {
    const peers = state.peers.map((peer) => ({ ...peer, hasLeft: true, isAway: false }))
    const isEverythingThere = state.transfers.every(({ stage }) => SETTLED.includes(stage.is))
    const left = isEverythingThere && GOODBYES.includes(code) ? undefined : code
    return { ...state, pairing: undefined, peers, left, isWriting: false, screen: { is: 'connected' } }
  }
  return {
    ...state,
    pairing: undefined,
    joining: undefined,
    peers: [],
    transfers: [],
    screen: { is: 'end', code, role },
  }
}
