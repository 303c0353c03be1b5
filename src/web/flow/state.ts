import type { PairingErrorCode } from '../../client/index.ts'

/** All that the page shows, as a value. Nothing here touches the document, the relay or the clock. */

/** A file or a text that a person chose. Its bytes are the controller's. */
export interface Item {
  readonly id: number
  readonly name: string
  readonly bytes: number
  readonly isText: boolean
}

/** A device that has proved that it knows the code, and waits for the person's decision. */
export interface Question {
  readonly id: number
  /** What it calls itself. */
  readonly name: string | undefined
  /** Its number among two that are nobody's. */
  readonly choices: readonly string[]
  readonly number: string
}

/** The code that is shown, and those who come by it. */
export interface Pairing {
  readonly code: string
  readonly link: string
  /** By the page's clock, in milliseconds. */
  readonly goodUntil: number
  /** Set when another code follows by itself. */
  readonly isFollowed: boolean
  /** Set for a minute when this code has replaced one. */
  readonly isRenewed: boolean
  readonly questions: readonly Question[]
  /** Devices that may be let in, and how many were. */
  readonly wanted: number
  readonly admitted: number
  /** Set when a number has to be typed: a choice was wrong, or several devices know the code. */
  readonly typing: 'no' | 'wrong_choice' | 'several'
  /** Set when the number that was typed is nobody's. */
  readonly isUnknownNumber: boolean
  readonly wrongCodes: number
  readonly unproven: number
  readonly isUsedUp: boolean
}

/** The other device, once this one has entered a code. */
export interface Joining {
  readonly number: string | undefined
  readonly isSenderAway: boolean
}

/** A paired device. */
export interface Peer {
  readonly id: number
  readonly name: string | undefined
  readonly number: string
  readonly isAway: boolean
  readonly hasLeft: boolean
}

export type OutgoingStage =
  | { readonly is: 'offered' }
  | { readonly is: 'running'; readonly done: number; readonly perSecond: number | undefined }
  | { readonly is: 'delivered'; readonly bytes: number; readonly ms: number }
  | { readonly is: 'failed'; readonly code: PairingErrorCode }

export type IncomingStage =
  | { readonly is: 'asked' }
  /** Nothing here can take so much: `max` bytes are the most. */
  | { readonly is: 'too_large'; readonly max: number }
  | { readonly is: 'running'; readonly done: number; readonly perSecond: number | undefined }
  | { readonly is: 'saving' }
  | { readonly is: 'received' }
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'declined' }
  | { readonly is: 'withdrawn' }
  | { readonly is: 'failed'; readonly code: PairingErrorCode }

interface TransferBase {
  readonly id: number
  readonly peer: number
  readonly names: readonly string[]
  readonly count: number
  /** Undefined for a pipe. */
  readonly bytes: number | undefined
  readonly isText: boolean
}

/** One offer, either way. */
export type Transfer =
  | (TransferBase & { readonly way: 'out'; readonly stage: OutgoingStage })
  | (TransferBase & { readonly way: 'in'; readonly stage: IncomingStage })

export type Screen =
  | { readonly is: 'start' }
  | { readonly is: 'chosen' }
  | { readonly is: 'text' }
  | { readonly is: 'opening' }
  | { readonly is: 'pairing'; readonly showsCode: boolean }
  | { readonly is: 'enter'; readonly fromLink: boolean }
  | { readonly is: 'looking' }
  | { readonly is: 'number' }
  | { readonly is: 'connected' }
  | { readonly is: 'end'; readonly code: PairingErrorCode; readonly role: 'sender' | 'receiver' }

export type Connection = 'connected' | 'reconnecting' | 'fallback'

export interface State {
  readonly screen: Screen
  /** Set while "Who can read what you send?" lies over the screen. */
  readonly isAsking: boolean
  readonly items: readonly Item[]
  /** A name that could not be read. */
  readonly unreadable: string | undefined
  readonly wanted: number
  /** What the code field has. */
  readonly code: string
  readonly pairing: Pairing | undefined
  readonly joining: Joining | undefined
  readonly peers: readonly Peer[]
  readonly transfers: readonly Transfer[]
  readonly connection: Connection
}

export const START: State = {
  screen: { is: 'start' },
  isAsking: false,
  items: [],
  unreadable: undefined,
  wanted: 1,
  code: '',
  pairing: undefined,
  joining: undefined,
  peers: [],
  transfers: [],
  connection: 'connected',
}

export type Event =
  | { readonly is: 'items'; readonly items: readonly Item[]; readonly unreadable?: string | undefined }
  | { readonly is: 'remove'; readonly item: number }
  | { readonly is: 'wanted'; readonly devices: number }
  | { readonly is: 'write' }
  | { readonly is: 'back' }
  | { readonly is: 'ask'; readonly open: boolean }
  | { readonly is: 'code_typed'; readonly code: string }
  | { readonly is: 'link'; readonly code: string }
  | { readonly is: 'opening' }
  | {
      readonly is: 'opened'
      readonly pairing: Pick<Pairing, 'code' | 'link' | 'goodUntil' | 'isFollowed' | 'isRenewed'>
    }
  | { readonly is: 'overlap_over' }
  | { readonly is: 'strangers'; readonly wrongCodes: number; readonly unproven: number }
  | { readonly is: 'used_up' }
  | { readonly is: 'question'; readonly question: Question; readonly mustType: boolean }
  | { readonly is: 'question_gone'; readonly question: number }
  | { readonly is: 'chosen_wrong' }
  | { readonly is: 'typed_unknown' }
  | { readonly is: 'show_code'; readonly show: boolean }
  | { readonly is: 'joining' }
  | { readonly is: 'verified'; readonly number: string }
  | { readonly is: 'sender_presence'; readonly away: boolean }
  | { readonly is: 'paired'; readonly peer: Peer; readonly question?: number }
  | { readonly is: 'peer'; readonly peer: number; readonly change: Partial<Omit<Peer, 'id'>> }
  | { readonly is: 'connect' }
  | { readonly is: 'transfer'; readonly transfer: Transfer }
  | { readonly is: 'stage'; readonly transfer: number; readonly stage: OutgoingStage | IncomingStage }
  | { readonly is: 'connection'; readonly connection: Connection }
  | { readonly is: 'ended'; readonly code: PairingErrorCode; readonly role: 'sender' | 'receiver' }
  | { readonly is: 'reset' }

/** What the page shows after an event. */
export function next(state: State, event: Event): State {
  const { pairing, joining, screen } = state
  const inPairing = (change: Partial<Pairing>): State =>
    pairing ? { ...state, pairing: { ...pairing, ...change } } : state
  switch (event.is) {
    case 'items': {
      const items = [...state.items, ...event.items]
      const shown: Screen = items.length > 0 ? { is: 'chosen' } : { is: 'start' }
      return { ...state, items, unreadable: event.unreadable, screen: screen.is === 'connected' ? screen : shown }
    }
    case 'remove': {
      const items = state.items.filter(({ id }) => id !== event.item)
      return { ...state, items, unreadable: undefined, screen: items.length > 0 ? screen : { is: 'start' } }
    }
    case 'wanted':
      return { ...state, wanted: event.devices }
    case 'write':
      return { ...state, screen: { is: 'text' } }
    case 'back':
      return { ...START, items: screen.is === 'text' ? state.items : [] }
    case 'ask':
      return { ...state, isAsking: event.open }
    case 'code_typed':
      return { ...state, code: event.code }
    case 'link':
      return { ...START, code: event.code, screen: { is: 'enter', fromLink: true } }
    case 'opening':
      return { ...state, screen: { is: 'opening' } }
    case 'opened': {
      const fresh = {
        questions: [],
        admitted: 0,
        typing: 'no',
        isUnknownNumber: false,
        wrongCodes: 0,
        unproven: 0,
      } as const
      const before = pairing ?? { ...fresh, wanted: state.wanted, isUsedUp: false }
      return { ...state, pairing: { ...before, ...event.pairing }, screen: { is: 'pairing', showsCode: false } }
    }
    case 'overlap_over':
      return inPairing({ isRenewed: false })
    case 'strangers':
      return inPairing({ wrongCodes: event.wrongCodes, unproven: event.unproven })
    case 'used_up':
      return inPairing({ isUsedUp: true })
    case 'question': {
      const questions = [...(pairing?.questions ?? []), event.question]
      const typing = questions.length > 1 || event.mustType ? 'several' : (pairing?.typing ?? 'no')
      return { ...inPairing({ questions, typing }), screen: { is: 'pairing', showsCode: false } }
    }
    case 'question_gone':
      return inPairing({ questions: (pairing?.questions ?? []).filter(({ id }) => id !== event.question) })
    case 'chosen_wrong':
      return inPairing({ typing: 'wrong_choice' })
    case 'typed_unknown':
      return inPairing({ isUnknownNumber: true })
    case 'show_code':
      return { ...state, screen: { is: 'pairing', showsCode: event.show } }
    case 'joining':
      return { ...state, joining: { number: undefined, isSenderAway: false }, screen: { is: 'looking' } }
    case 'verified':
      return { ...state, joining: { number: event.number, isSenderAway: false }, screen: { is: 'number' } }
    case 'sender_presence':
      return joining ? { ...state, joining: { ...joining, isSenderAway: event.away } } : state
    case 'paired':
      return paired(state, event.peer, event.question)
    case 'peer': {
      const change = (peer: Peer) => (peer.id === event.peer ? { ...peer, ...event.change } : peer)
      return { ...state, peers: state.peers.map(change) }
    }
    case 'connect':
      return { ...state, pairing: undefined, joining: undefined, screen: { is: 'connected' } }
    case 'transfer':
      return { ...state, items: [], transfers: [...state.transfers, event.transfer] }
    case 'stage': {
      const change = (each: Transfer) =>
        each.id === event.transfer ? ({ ...each, stage: event.stage } as Transfer) : each
      return { ...state, transfers: state.transfers.map(change) }
    }
    case 'connection':
      return { ...state, connection: event.connection }
    case 'ended':
      return {
        ...state,
        pairing: undefined,
        joining: undefined,
        screen: { is: 'end', code: event.code, role: event.role },
      }
    case 'reset':
      return START
    default:
      return event satisfies never
  }
}

/** Goes on to the transfers when the last device that was wanted is in. */
function paired(state: State, peer: Peer, question: number | undefined): State {
  const { pairing } = state
  const peers = [...state.peers, peer]
  const admitted = (pairing?.admitted ?? 0) + 1
  if (!pairing || admitted >= pairing.wanted)
    return { ...state, peers, pairing: undefined, joining: undefined, screen: { is: 'connected' } }
  const questions = pairing.questions.filter(({ id }) => id !== question)
  return { ...state, peers, pairing: { ...pairing, admitted, questions, isUnknownNumber: false } }
}
