import type { PairingErrorCode } from '../../client/index.ts'
import type { Earlier } from '../save/earlier.ts'
import type { Plan } from './plan.ts'

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
  /** Its own word, which nobody has checked. */
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
  /** Set while the code that this one has replaced still works. */
  readonly isRenewed: boolean
  readonly questions: readonly Question[]
  /** The question whose device is being let in. */
  readonly deciding: number | undefined
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
  /** Both sides look at what the other has from before. */
  | { readonly is: 'comparing'; readonly done: number; readonly total: number }
  | { readonly is: 'running'; readonly done: number; readonly perSecond: number | undefined }
  /** Stopped here, and the other device has not heard of it. */
  | { readonly is: 'stopping' }
  /** `skipped` files could not be read here, and are not there. */
  | { readonly is: 'delivered'; readonly bytes: number; readonly ms: number; readonly skipped: number }
  | { readonly is: 'failed'; readonly code: PairingErrorCode }

export type IncomingStage =
  | { readonly is: 'asked'; readonly plan: Exclude<Plan['is'], 'none'> }
  /** Nothing here can take so much: `max` bytes are the most. */
  | { readonly is: 'too_large'; readonly max: number }
  | { readonly is: 'comparing'; readonly done: number; readonly total: number }
  | { readonly is: 'running'; readonly done: number; readonly perSecond: number | undefined }
  | { readonly is: 'saving' }
  /** `isCopy`: the browser keeps it until the person is done. `isByHand`: nothing is saved before a click. */
  | { readonly is: 'received'; readonly isCopy: boolean; readonly isByHand: boolean; readonly skipped: number }
  /** Saved where the person chose, under this name. */
  | { readonly is: 'saved'; readonly name: string; readonly skipped: number }
  | { readonly is: 'done' }
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'declined' }
  | { readonly is: 'withdrawn' }
  /** `isKept`: it goes on from what is there. `max`: more bytes than these came, and cannot be held. */
  | { readonly is: 'failed'; readonly code: PairingErrorCode; readonly isKept: boolean; readonly max?: number }

interface TransferBase {
  readonly id: number
  readonly peer: number
  /** Equal for what goes to several devices at once. */
  readonly batch?: number | undefined
  readonly names: readonly string[]
  readonly count: number
  /** Undefined for a pipe. */
  readonly bytes: number | undefined
  readonly isText: boolean
}

/** An offer, either way. */
export type Transfer =
  | (TransferBase & { readonly way: 'out'; readonly stage: OutgoingStage })
  | (TransferBase & { readonly way: 'in'; readonly stage: IncomingStage })

export type Screen =
  | { readonly is: 'start' }
  | { readonly is: 'chosen' }
  | { readonly is: 'text' }
  | { readonly is: 'opening' }
  | { readonly is: 'pairing' }
  /** `from` is where a code in the field came from. */
  | { readonly is: 'enter'; readonly from: 'link' | 'camera' | undefined }
  | { readonly is: 'scan' }
  | { readonly is: 'looking' }
  | { readonly is: 'number' }
  | { readonly is: 'connected' }
  | { readonly is: 'end'; readonly code: PairingErrorCode; readonly role: 'sender' | 'receiver' }

export type Connection = 'connected' | 'reconnecting' | 'fallback'

export interface State {
  readonly screen: Screen
  /** Set while "Who can read what you send?" lies over the screen. */
  readonly isAsking: boolean
  /** Set while a text for a paired device is written. */
  readonly isWriting: boolean
  readonly items: readonly Item[]
  /** A name that could not be read. */
  readonly unreadable: string | undefined
  readonly wanted: number
  /** Content of the code field. */
  readonly code: string
  readonly pairing: Pairing | undefined
  readonly joining: Joining | undefined
  readonly peers: readonly Peer[]
  readonly transfers: readonly Transfer[]
  /** Why the last paired device has left, unless it said goodbye. */
  readonly left: PairingErrorCode | undefined
  /** When the relay forgets the session, by the system's clock, in milliseconds. */
  readonly sessionUntil: number | undefined
  readonly connection: Connection
  /** Things received on an earlier visit. */
  readonly earlier: readonly Earlier[]
}

export const START: State = {
  screen: { is: 'start' },
  isAsking: false,
  isWriting: false,
  items: [],
  unreadable: undefined,
  wanted: 1,
  code: '',
  pairing: undefined,
  joining: undefined,
  peers: [],
  transfers: [],
  left: undefined,
  sessionUntil: undefined,
  connection: 'connected',
  earlier: [],
}

export type Event =
  | { readonly is: 'items'; readonly items: readonly Item[]; readonly unreadable?: string | undefined }
  | { readonly is: 'remove'; readonly items: readonly number[] }
  | { readonly is: 'wanted'; readonly devices: number }
  | { readonly is: 'write' }
  | { readonly is: 'back' }
  | { readonly is: 'ask'; readonly open: boolean }
  | { readonly is: 'code_typed'; readonly code: string }
  | { readonly is: 'link'; readonly code: string; readonly from?: 'link' | 'camera' | undefined }
  | { readonly is: 'scan' }
  | { readonly is: 'opening' }
  | {
      readonly is: 'opened'
      readonly pairing: Pick<Pairing, 'code' | 'link' | 'goodUntil' | 'isFollowed' | 'isRenewed'>
    }
  | ({ readonly is: 'life' } & Pick<Pairing, 'goodUntil' | 'isFollowed' | 'isRenewed'>)
  | { readonly is: 'strangers'; readonly wrongCodes: number; readonly unproven: number }
  | { readonly is: 'used_up' }
  | { readonly is: 'question'; readonly question: Question; readonly mustType: boolean }
  | { readonly is: 'question_gone'; readonly question: number }
  | { readonly is: 'deciding'; readonly question: number }
  | { readonly is: 'chosen_wrong' }
  | { readonly is: 'must_type' }
  | { readonly is: 'typed_unknown' }
  | { readonly is: 'joining' }
  | { readonly is: 'verified'; readonly number: string }
  | { readonly is: 'sender_presence'; readonly away: boolean }
  | { readonly is: 'paired'; readonly peer: Peer; readonly question?: number; readonly sessionUntil?: number }
  | { readonly is: 'peer'; readonly peer: number; readonly change: Partial<Omit<Peer, 'id'>> }
  | { readonly is: 'connect' }
  | { readonly is: 'transfer'; readonly transfer: Transfer }
  | { readonly is: 'stage'; readonly transfer: number; readonly stage: OutgoingStage | IncomingStage }
  | { readonly is: 'connection'; readonly connection: Connection }
  | { readonly is: 'ended'; readonly code: PairingErrorCode; readonly role: 'sender' | 'receiver' }
  | { readonly is: 'earlier'; readonly earlier: readonly Earlier[] }
  | { readonly is: 'reset' }
