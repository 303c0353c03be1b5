import { bytesSource } from '../../../src/client/index.ts'
import { encodeHeader } from '../../../src/client/transfer/transfer.ts'
import { CHUNK_BYTES, CHUNKS_PER_FRAME } from '../../../src/crypto/stream.ts'
import type { Command, Happening, Side } from './pairing.ts'

/** The seqs of a pairing: two of the handshake in each direction, the approval, the payload's frames, the goodbye. */
const APPROVAL_SEQ = 3
const RECEIPT_SEQ = 3

export interface Phase {
  readonly name: string
  /** What marks it, each of them; a run takes one. */
  readonly marks: (payload: Uint8Array) => readonly Happening[]
  /** Whether two nodes survive it every time. Before and after, an answer may be lost that nobody can ask for again. */
  readonly mustSurvive: boolean
}

/** In the order in which they come. */
export const PHASES: readonly Phase[] = [
  { name: 'registering', marks: () => command('asks', 'sender', 'register'), mustSurvive: false },
  { name: 'registered', marks: () => command('is answered', 'sender', 'register'), mustSurvive: true },
  { name: 'joining', marks: () => command('asks', 'receiver', 'join'), mustSurvive: false },
  { name: 'joined', marks: () => command('is answered', 'receiver', 'join'), mustSurvive: true },
  { name: 'handshake message 1', marks: () => frame('receiver', 1), mustSurvive: true },
  { name: 'handshake message 2', marks: () => frame('sender', 1), mustSurvive: true },
  { name: 'handshake message 3', marks: () => frame('receiver', 2), mustSurvive: true },
  { name: 'handshake message 4', marks: () => frame('sender', 2), mustSurvive: true },
  { name: 'approving', marks: () => command('asks', 'sender', 'decide'), mustSurvive: true },
  { name: 'approved', marks: () => command('is answered', 'sender', 'decide'), mustSurvive: true },
  { name: 'approval message', marks: () => frame('sender', APPROVAL_SEQ), mustSurvive: true },
  {
    name: 'mid-data',
    marks: (payload) => frame('sender', APPROVAL_SEQ + Math.ceil(framesOf(payload) / 2)),
    mustSurvive: true,
  },
  { name: 'last frame', marks: (payload) => frame('sender', APPROVAL_SEQ + framesOf(payload)), mustSurvive: true },
  { name: 'before the receipt', marks: () => [{ what: 'has everything' }], mustSurvive: true },
  { name: 'the receipt', marks: () => frame('receiver', RECEIPT_SEQ), mustSurvive: false },
  { name: 'after the receipt', marks: () => [{ what: 'delivered' }], mustSurvive: false },
  {
    name: 'the goodbye',
    marks: (payload) => frame('sender', APPROVAL_SEQ + framesOf(payload) + 1),
    mustSurvive: false,
  },
  { name: 'leaving', marks: () => command('asks', 'receiver', 'end receiver'), mustSurvive: false },
  { name: 'closing', marks: () => command('asks', 'sender', 'close'), mustSurvive: false },
]

function command(what: 'asks' | 'is answered', side: Side, name: Command): Happening[] {
  return [{ what, side, command: name }]
}

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
