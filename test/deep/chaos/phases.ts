import { CHUNK_BYTES, CHUNKS_PER_FRAME } from '../../../src/crypto/stream.ts'
import type { Command, Happening, Side } from './pairing.ts'

/**
 * The seqs of a pairing: two of the handshake in each direction, and the hellos. Then the sender says its offer, the content
 * in frames, `sent` and the goodbye, and the receiver its answer and its receipt.
 */
const APPROVAL_SEQ = 3
const OFFER_SEQ = 4
const RECEIPT_SEQ = 5
/** The bytes of a head in front of content. */
const HEAD_BYTES = 128

export interface Phase {
  readonly name: string
  /** Happenings that mark it; a run takes one of them. */
  readonly marks: (payload: Uint8Array) => readonly Happening[]
  /** Set where two nodes survive every time. Elsewhere an answer may be lost that nobody can ask for again. */
  readonly mustSurvive: boolean
}

const asked = (side: Side, name: Command) => () => [{ what: 'asks', side, command: name }] as const
const answered = (side: Side, name: Command) => () => [{ what: 'is answered', side, command: name }] as const
const data = (payload: Uint8Array, part: number) => frame('sender', OFFER_SEQ + Math.ceil(framesOf(payload) * part))

const MARKS: readonly (readonly [name: string, mustSurvive: boolean, marks: Phase['marks']])[] = [
  ['registering', false, asked('sender', 'register')],
  ['registered', true, answered('sender', 'register')],
  ['joining', false, asked('receiver', 'join')],
  ['joined', true, answered('receiver', 'join')],
  ['handshake message 1', true, () => frame('receiver', 1)],
  ['handshake message 2', true, () => frame('sender', 1)],
  ['handshake message 3', true, () => frame('receiver', 2)],
  ['handshake message 4', true, () => frame('sender', 2)],
  ['approving', true, asked('sender', 'decide')],
  ['approved', true, answered('sender', 'decide')],
  ['approval message', true, () => frame('sender', APPROVAL_SEQ)],
  ['mid-data', true, (payload) => data(payload, 0.5)],
  ['last frame', true, (payload) => data(payload, 1)],
  ['before the receipt', true, () => [{ what: 'has everything' }]],
  ['the receipt', false, () => frame('receiver', RECEIPT_SEQ)],
  ['after the receipt', false, () => [{ what: 'delivered' }]],
  ['the goodbye', false, (payload) => frame('sender', OFFER_SEQ + framesOf(payload) + 2)],
  ['leaving', false, asked('receiver', 'end receiver')],
  ['closing', false, asked('sender', 'close')],
]

/** In the order in which they come. */
export const PHASES: readonly Phase[] = MARKS.map(([name, mustSurvive, marks]) => ({ name, mustSurvive, marks }))

/** A frame as it leaves its writer and as it reaches its reader. */
function frame(writer: Side, seq: number): Happening[] {
  return [
    { what: 'sends', side: writer, seq },
    { what: 'gets', side: writer === 'sender' ? 'receiver' : 'sender', seq },
  ]
}

/** How many frames the payload takes, with the relay's default limits. */
function framesOf(payload: Uint8Array): number {
  return Math.ceil(payload.length / (CHUNK_BYTES * CHUNKS_PER_FRAME - HEAD_BYTES))
}

export function isSame(one: Happening, other: Happening): boolean {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort())
}
