import { bytesSource } from '../../src/client/index.ts'
import { encodeHeader } from '../../src/client/transfer.ts'
import { CHUNK_BYTES, CHUNKS_PER_FRAME } from '../../src/crypto/stream.ts'
import type { Happening, Side } from './pairing.ts'

/** The seqs of a pairing: two of the handshake in each direction, the approval, the payload's frames, the goodbye. */
const APPROVAL_SEQ = 3
const RECEIPT_SEQ = 3

export interface Phase {
  readonly name: string
  /** What marks it, each of them; a run takes one. */
  readonly marks: (payload: Uint8Array) => readonly Happening[]
  /** What a cluster survives without anybody noticing, every time. */
  readonly mustSurvive?: boolean
}

/** In the order in which they come. */
export const PHASES: readonly Phase[] = [
  { name: 'registering', marks: () => [{ what: 'asks', side: 'sender', command: 'register' }] },
  { name: 'registered', marks: () => [{ what: 'is answered', side: 'sender', command: 'register' }] },
  { name: 'joining', marks: () => [{ what: 'asks', side: 'receiver', command: 'join' }] },
  { name: 'joined', marks: () => [{ what: 'is answered', side: 'receiver', command: 'join' }] },
  { name: 'handshake message 1', marks: () => frame('receiver', 1) },
  { name: 'handshake message 2', marks: () => frame('sender', 1) },
  { name: 'handshake message 3', marks: () => frame('receiver', 2) },
  { name: 'handshake message 4', marks: () => frame('sender', 2) },
  { name: 'approving', marks: () => [{ what: 'asks', side: 'sender', command: 'decide' }] },
  { name: 'approved', marks: () => [{ what: 'is answered', side: 'sender', command: 'decide' }] },
  { name: 'approval message', marks: () => frame('sender', APPROVAL_SEQ) },
  {
    name: 'mid-data',
    marks: (payload) => frame('sender', APPROVAL_SEQ + Math.ceil(framesOf(payload) / 2)),
    mustSurvive: true,
  },
  { name: 'last frame', marks: (payload) => frame('sender', APPROVAL_SEQ + framesOf(payload)) },
  { name: 'before the receipt', marks: () => [{ what: 'has everything' }] },
  { name: 'the receipt', marks: () => frame('receiver', RECEIPT_SEQ) },
  { name: 'after the receipt', marks: () => [{ what: 'delivered' }] },
  { name: 'the goodbye', marks: (payload) => frame('sender', APPROVAL_SEQ + framesOf(payload) + 1) },
  { name: 'leaving', marks: () => [{ what: 'asks', side: 'receiver', command: 'end receiver' }] },
  { name: 'closing', marks: () => [{ what: 'asks', side: 'sender', command: 'close' }] },
]

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
