import { bytesSource } from '../../../src/client/index.ts'
import { encodeHeader } from '../../../src/client/transfer/transfer.ts'
import { CHUNK_BYTES, CHUNKS_PER_FRAME } from '../../../src/crypto/stream.ts'
import type { Command, Happening, Side } from './pairing.ts'

/** The seqs of a pairing: two of the handshake in each direction, the approval, the payload's frames, the goodbye. */
const APPROVAL_SEQ = 3
const RECEIPT_SEQ = 3

export interface Phase {
  readonly name: string
  /** Happenings that mark it; a run takes one of them. */
  readonly marks: (payload: Uint8Array) => readonly Happening[]
  /** Set where two nodes survive every time. Elsewhere an answer may be lost that nobody can ask for again. */
  readonly mustSurvive: boolean
}

const asked = (side: Side, name: Command) => () => [{ what: 'asks', side, command: name }] as const
const answered = (side: Side, name: Command) => () => [{ what: 'is answered', side, command: name }] as const
const data = (payload: Uint8Array, part: number) => frame('sender', APPROVAL_SEQ + Math.ceil(framesOf(payload) * part))

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
  ['the goodbye', false, (payload) => frame('sender', APPROVAL_SEQ + framesOf(payload) + 1)],
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
  const header = encodeHeader([bytesSource(payload, 'payload')]).length
  return Math.ceil((header + payload.length) / (CHUNK_BYTES * CHUNKS_PER_FRAME))
}

export function isSame(one: Happening, other: Happening): boolean {
  return JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort())
}
