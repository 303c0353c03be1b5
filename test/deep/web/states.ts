import type { IncomingStage, Item, OutgoingStage, Pairing, Peer, State, Transfer } from '../../../src/web/flow/state.ts'
import { START } from '../../../src/web/flow/state.ts'

/** States of the page to look at: each screen, with little, with much, with names that do not fit. */

const LONG = 'Minutes of the meeting of the twenty-third of November, with all remarks (final) (2) – reviewed.docx'
const HEBREW = 'תמונות מהחופשה בים.jpg'
const NAMES = [
  'Firefox on Android',
  'Safari on iOS',
  'Chrome on Windows',
  'Edge on Windows',
  undefined,
  'pairlay on Linux',
]

function item(id: number, name: string, bytes: number, isText = false): Item {
  return { id, name, bytes, isText }
}

const FEW = [item(1, 'holiday.jpg', 3_412_332), item(2, LONG, 184_000), item(3, HEBREW, 912_000)]
const MANY = Array.from({ length: 140 }, (_, n) => item(10 + n, `IMG_${4_000 + n}.HEIC`, 2_100_000 + n))
const FOLDER = Array.from({ length: 42 }, (_, n) => item(200 + n, `Norway 2026/day ${n % 7}/${n}.jpg`, 4_000_000))

const CODE: Pairing = {
  code: 'K7QM3-XPDT28',
  link: 'https://relay.example/#K7QM3-XPDT28',
  goodUntil: 872_000,
  isFollowed: true,
  isRenewed: false,
  questions: [],
  deciding: undefined,
  wanted: 1,
  admitted: 0,
  typing: 'no',
  isUnknownNumber: false,
  wrongCodes: 0,
  unproven: 0,
  isUsedUp: false,
}
const QUESTION = { id: 5, name: 'Firefox on Android', number: '482913', choices: ['107446', '482913', '930582'] }

function peer(id: number, change: Partial<Peer> = {}): Peer {
  const number = String(482_913 + id * 37_211).slice(0, 6)
  return { id, name: NAMES[id % NAMES.length], number, isAway: false, hasLeft: false, ...change }
}

const ONE = [peer(0)]
const EIGHT = Array.from({ length: 8 }, (_, id) => peer(id))

interface About {
  readonly names?: string[]
  readonly count?: number
  readonly bytes?: number | undefined
  readonly isText?: boolean
  readonly peer?: number
  readonly batch?: number
}

let ids = 100

function transfer(way: 'in' | 'out', stage: OutgoingStage | IncomingStage, about: About = {}): Transfer {
  const names = about.names ?? ['holiday.jpg']
  const rest = { count: names.length, bytes: 3_412_332, isText: false, peer: 0, ...about, names }
  return { id: ids++, way, stage, ...rest } as Transfer
}

const ASKED = { is: 'asked', plan: 'memory' } as IncomingStage
const RECEIVED = { is: 'received', isCopy: false, isByHand: false, skipped: 0 } as IncomingStage

function paired(transfers: readonly Transfer[], change: Partial<State> = {}): State {
  return {
    ...START,
    screen: { is: 'connected' },
    peers: ONE,
    sessionUntil: Date.now() + 3_000_000,
    transfers,
    ...change,
  }
}

const PAIRING: State = { ...START, items: FEW, screen: { is: 'pairing' } }

const FILM = { names: ['film.mp4'], bytes: 412_000_000 }
const RECEIVING = transfer('in', { is: 'running', done: 31_000_000, perSecond: 8_100_000 }, FILM)
const SENDING = transfer('out', { is: 'running', done: 161_000_000, perSecond: 11_200_000 }, FILM)
/** More than goes in the time that is left. */
const LARGE = transfer(
  'out',
  { is: 'running', done: 8_612_000_000, perSecond: 3_240_000 },
  { names: ['Backup of the whole archive 2011–2026.tar'], bytes: 21_430_000_000 },
)

const ALL_AT_ONCE = [
  transfer('in', ASKED, { names: [LONG, 'b.pdf', 'c.pdf'], count: 12, bytes: 48_000_000 }),
  RECEIVING,
  transfer(
    'in',
    { is: 'text', text: 'https://example.org/a/long/address?with=a&query=of#parts' },
    { isText: true, bytes: 54 },
  ),
  transfer('in', RECEIVED, { names: [HEBREW] }),
  SENDING,
  transfer('out', { is: 'comparing', done: 31_000_000, total: 61_000_000 }, FILM),
  transfer('out', { is: 'stopping' }, { names: ['oops.txt'], bytes: 120 }),
  transfer('out', { is: 'failed', code: 'unconfirmed' }, { names: ['letter.pdf'] }),
  transfer('in', { is: 'failed', code: 'corrupt', isKept: false } as IncomingStage, { names: ['letter.pdf'] }),
  transfer('in', { is: 'withdrawn' }, { names: ['oops.txt'], bytes: 120 }),
]

const TO_EIGHT = EIGHT.map(({ id }) =>
  transfer(
    'out',
    id < 3
      ? { is: 'delivered', bytes: 3_412_332, ms: 4_100, skipped: 0 }
      : id < 6
        ? { is: 'running', done: 400_000 * id, perSecond: 900_000 }
        : id < 7
          ? { is: 'offered' }
          : { is: 'failed', code: 'receiver_left' },
    { peer: id, batch: 1 },
  ),
)

export const STATES: Readonly<Record<string, State>> = {
  start: START,
  'start, earlier': {
    ...START,
    earlier: [
      { token: 'a', names: ['holiday.jpg', LONG], count: 4, bytes: 48_000_000, at: 1_795_000_000_000, have: undefined },
      { token: 'b', names: ['film.mp4'], count: 1, bytes: 412_000_000, at: 1_795_000_000_000, have: 190_000_000 },
    ],
  },
  chosen: { ...START, items: FEW, screen: { is: 'chosen' } },
  'chosen, much': { ...START, items: [...FOLDER, ...MANY], unreadable: LONG, wanted: 8, screen: { is: 'chosen' } },
  text: { ...START, screen: { is: 'text' } },
  opening: { ...START, items: FEW, screen: { is: 'opening' } },
  code: { ...PAIRING, pairing: CODE },
  'code, trouble': {
    ...{ ...PAIRING, connection: 'reconnecting', peers: [peer(0), peer(1, { hasLeft: true })] },
    pairing: { ...CODE, isFollowed: false, isRenewed: true, wanted: 8, admitted: 2, wrongCodes: 2, unproven: 1 },
  },
  question: { ...PAIRING, pairing: { ...CODE, questions: [QUESTION] } },
  'question, typed': {
    ...PAIRING,
    pairing: {
      ...{ ...CODE, typing: 'several', isUnknownNumber: true, wanted: 3, admitted: 1 },
      questions: [QUESTION, { ...QUESTION, id: 6, name: LONG, number: '000001' }],
    },
    peers: ONE,
  },
  enter: { ...START, code: 'K7QM3-XPDT28', screen: { is: 'enter', from: 'link' } },
  looking: { ...START, joining: { number: undefined, isSenderAway: false }, screen: { is: 'looking' } },
  number: { ...START, joining: { number: '482913', isSenderAway: false }, screen: { is: 'number' } },
  'number, alone': { ...START, joining: { number: '482913', isSenderAway: true }, screen: { is: 'number' } },
  connected: paired([]),
  offer: paired([transfer('in', ASKED)]),
  'connected, much': paired(ALL_AT_ONCE, { connection: 'fallback', peers: [peer(0, { isAway: true, name: LONG })] }),
  'connected, writing': paired([transfer('out', { is: 'delivered', bytes: 3_412_332, ms: 4_100, skipped: 0 })], {
    isWriting: true,
  }),
  sending: paired([LARGE]),
  'sending, stop': paired([SENDING]),
  receiving: paired([RECEIVING]),
  'eight devices': paired(TO_EIGHT, {
    peers: EIGHT.map((each) => (each.id === 7 ? { ...each, hasLeft: true } : each)),
  }),
  left: paired([transfer('in', RECEIVED)], { peers: [peer(0, { hasLeft: true })] }),
  'left badly': paired(
    [transfer('out', { is: 'failed', code: 'session_lost' }, { names: ['film.mp4'], bytes: 412_000_000 })],
    { left: 'session_lost', peers: [peer(0, { hasLeft: true })] },
  ),
  end: { ...START, code: 'K7QM3-XPDT28', screen: { is: 'end', code: 'code_not_found', role: 'receiver' } },
  'end, sender': { ...START, items: FEW, screen: { is: 'end', code: 'nobody_approved', role: 'sender' } },
  'end, password': { ...START, items: FEW, screen: { is: 'end', code: 'access_needed', role: 'sender' } },
  'end, password again': { ...START, items: FEW, screen: { is: 'end', code: 'access_needed', role: 'sender' } },
  sure: { ...START, isAsking: true },
}
