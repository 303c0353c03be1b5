import { attack, type Case, CORRUPT_THERE, type Ends, ends, GOOD, STUCK, UNHEARD } from './cases.ts'
import { isReceipt, onFrame, saying } from './operators.ts'
import type { Flying, Operator, Relay } from './relay.ts'
import type { Plan } from './scenario.ts'

/** Operations of a relay on sealed frames: drop, repeat, reorder, cut, lengthen, take others. */

const CHUNK = 65_536
/** The relay's word makes every frame one chunk. */
const FRAME_OF_ONE_CHUNK = 8 + 1 + CHUNK + 16
/** The sender's seqs: 3 is its hello, 4 the first frame of its first offer. */
const FIRST = 4
/** The line of an entry with a long path, about. */
const LINE = 4_130

/** An offer whose list takes so many chunks, the last one short, and frames of one chunk each. */
export function ofChunks(chunks: number, attackers: Plan['operators']): Omit<Plan, 'seed'> {
  const small: Operator = {
    name: 'small frames',
    created: (answer) => ({ ...answer, limits: { ...answer.limits, maxFrameBytes: FRAME_OF_ONE_CHUNK } }),
  }
  const items = Array.from({ length: Math.floor(((chunks - 0.5) * CHUNK) / LINE) }, () => new Uint8Array())
  return {
    longNames: true,
    transfers: [items],
    operators: (relay, code) => [small, ...(attackers?.(relay, code) ?? [])],
  }
}

/** Holds the frames of the first offer until all are there, and delivers what becomes of them. */
export function rearranged(chunks: number, change: Change): Operator {
  const held: Flying[] = []
  return onFrame(
    'rearrange',
    ({ from, seq }) => from === 'sender' && seq >= FIRST && seq < FIRST + chunks,
    (frame) => {
      held.push(frame)
      return held.length === chunks ? change(held) : []
    },
  )
}

type Change = (frames: readonly Flying[]) => readonly Flying[]
export type Rearrangement = readonly [name: string, change: Change]

const withFlag = (frame: Flying, flag: number): Flying => {
  const ciphertext = frame.ciphertext.slice()
  ciphertext[0] = flag
  return { ...frame, ciphertext }
}

/** Every drop, repetition, cut, claim of an end and transposition of so many frames. */
export function rearrangements(chunks: number): Rearrangement[] {
  const each = Array.from({ length: chunks }, (_, i) => i)
  const of = (which: readonly number[], name: string, change: (i: number) => Change) =>
    which.map((i): Rearrangement => [`${name} ${i}`, change(i)])
  return [
    ...of(each, 'drop', (i) => (frames) => frames.toSpliced(i, 1)),
    ...of(each, 'repeat', (i) => (frames) => frames.toSpliced(i, 0, frames[i])),
    ...of(each, 'cut after', (i) => (frames) => frames.slice(0, i)),
    ...of(each.slice(0, -1), 'claim the end at', (i) => (frames) => [...frames.slice(0, i), withFlag(frames[i], 1)]),
    ...each.flatMap((i) =>
      of(each.slice(i + 1), `swap ${i} and`, (j) => (frames) => frames.with(i, frames[j]).with(j, frames[i])),
    ),
  ]
}

/** A transfer of so many chunks, rearranged on its way to the receiver. */
const chunked = (
  operator: string,
  ends: Ends,
  chunks: number,
  change: (frames: readonly Flying[], relay: Relay) => readonly Flying[],
): Case => ({
  operator,
  against: 'receiver',
  plan: () => ofChunks(chunks, (relay) => [rearranged(chunks, (frames) => change(frames, relay))]),
  ...ends,
})

/** A transfer of three chunks, ended too early in some way. */
const CHUNKS = 3
const truncations = Array.from({ length: CHUNKS }, (_, kept) => kept).flatMap((kept) => [
  chunked(
    `truncate after ${kept} of ${CHUNKS} chunks, close`,
    ends(['closed_by_sender', 1, undefined], ['closed_by_sender', 1, 1]),
    CHUNKS,
    (frames, relay) => {
      relay.time.setTimeout(() => relay.close(relay.meeting, 'completed'), 1_000)
      return frames.slice(0, kept)
    },
  ),
  chunked(`truncate after ${kept} of ${CHUNKS} chunks, be silent`, STUCK, CHUNKS, (frames) => frames.slice(0, kept)),
  chunked(`truncate to ${kept + 1} of ${CHUNKS} chunks, claim the last`, CORRUPT_THERE, CHUNKS, (frames) =>
    frames.slice(0, kept + 1).map((frame, i) => (i === kept ? withFlag(frame, kept === CHUNKS - 1 ? 0 : 1) : frame)),
  ),
])

/** [name, what a frame becomes that is the last of its message] */
const CUTS: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
  ['cut the last byte of', (bytes) => bytes.subarray(0, -1)],
  ['cut the whole tag of', (bytes) => bytes.subarray(0, -16)],
  ['leave only the flag of', (bytes) => bytes.subarray(0, 1)],
  ['add a byte to', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
  ['add an empty chunk to', (bytes) => Buffer.concat([bytes, new Uint8Array(16)])],
  ['put another flag before', (bytes) => Uint8Array.of(3, ...bytes.subarray(1))],
]

const cuts = CUTS.flatMap(([name, change]) => [
  chunked(`${name} the last chunk`, CORRUPT_THERE, 2, ([first, last]) => [
    first,
    ...saying(change(last.ciphertext))(last),
  ]),
  attack(`${name} the receipt`, 'sender', UNHEARD, () => [
    onFrame('cut', isReceipt, (frame) => saying(change(frame.ciphertext))(frame)),
  ]),
])

const joined = (one: Flying, two: Flying) => saying(Buffer.concat([one.ciphertext, two.ciphertext.subarray(1)]))(one)
/** Where frames begin and end is the relay's business: the chunks in them and their order are not. */
const regrouped = [
  chunked('put two chunks into one frame', GOOD, 3, ([one, two, last]) => [...joined(one, two), last]),
  chunked('put two chunks into one frame, swapped', CORRUPT_THERE, 3, ([one, two, last]) => [
    ...joined(two, one),
    last,
  ]),
]

/** Bytes after the last chunk of a message count as the next one, and are none. */
const EXTENSIONS: readonly (readonly [string, (frames: readonly Flying[]) => Uint8Array])[] = [
  ['its last chunk again', (frames) => frames[frames.length - 1].ciphertext],
  ['its first chunk again', (frames) => frames[0].ciphertext],
  ['an empty chunk', () => Uint8Array.of(1, ...new Array(16).fill(0))],
  ['noise', () => Uint8Array.of(1, ...new Array(99).fill(5))],
]

const extensions = EXTENSIONS.map(([name, attacker]) =>
  chunked(`extend by ${name}`, CORRUPT_THERE, 2, (frames) => [...frames, ...saying(attacker(frames))(frames[0])]),
)

export const payloadCases: Case[] = [...truncations, ...cuts, ...extensions, ...regrouped]
