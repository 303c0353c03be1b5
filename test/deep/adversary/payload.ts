import type { Case } from './cases.ts'
import { GOOD, isPayload, onFrame, saying } from './operators.ts'
import type { Flying, Operator } from './relay.ts'
import type { Plan } from './scenario.ts'

/** What a relay can do to sealed frames that it cannot read: drop, repeat, reorder, cut, lengthen, take others. */

const CHUNK = 65_536
/** The relay's word makes every frame one chunk. */
const FRAME_OF_ONE_CHUNK = 8 + 1 + CHUNK + 16
/** The sender's seqs: 3 is the approval, 4 the first frame of the first transfer. */
const FIRST = 4

/**
 * A transfer of so many chunks, the last one short, and frames of one chunk each. As a pipe it has no announced size: then
 * nothing but the last chunk tells where it ends.
 */
export function ofChunks(chunks: number, attack: Plan['operators'], pipes = true): Omit<Plan, 'seed'> {
  const small: Operator = {
    name: 'small frames',
    created: (answer) => ({ ...answer, limits: { ...answer.limits, maxFrameBytes: FRAME_OF_ONE_CHUNK } }),
  }
  const bytes = Uint8Array.from({ length: (chunks - 1) * CHUNK + 100 }, (_, i) => i * 7 + (i >> 16))
  return { pipes, transfers: [[bytes]], operators: (relay, code) => [small, ...(attack?.(relay, code) ?? [])] }
}

/** Holds the frames of the first transfer until all are there, and delivers what becomes of them. */
export function rearranged(chunks: number, attack: (frames: readonly Flying[]) => readonly Flying[]): Operator {
  const held: Flying[] = []
  return onFrame(
    'rearrange',
    ({ from, seq }) => from === 'sender' && seq >= FIRST && seq < FIRST + chunks,
    (frame) => {
      held.push(frame)
      return held.length === chunks ? attack(held) : []
    },
  )
}

export interface Rearrangement {
  readonly name: string
  readonly attack: (frames: readonly Flying[]) => readonly Flying[]
}

const withFlag = (frame: Flying, flag: number): Flying => {
  const ciphertext = frame.ciphertext.slice()
  ciphertext[0] = flag
  return { ...frame, ciphertext }
}

/** Every drop, repetition, cut, claim of an end and transposition of so many frames. */
export function rearrangements(chunks: number): Rearrangement[] {
  const each = Array.from({ length: chunks }, (_, i) => i)
  return [
    ...each.map((i) => ({ name: `drop ${i}`, attack: (frames: readonly Flying[]) => frames.toSpliced(i, 1) })),
    ...each.map((i) => ({
      name: `repeat ${i}`,
      attack: (frames: readonly Flying[]) => frames.toSpliced(i, 0, frames[i]),
    })),
    ...each.map((i) => ({ name: `cut after ${i}`, attack: (frames: readonly Flying[]) => frames.slice(0, i) })),
    ...each.slice(0, -1).map((i) => ({
      name: `claim the end at ${i}`,
      attack: (frames: readonly Flying[]) => [...frames.slice(0, i), withFlag(frames[i], 1)],
    })),
    ...each.flatMap((i) =>
      each.slice(i + 1).map((j) => ({
        name: `swap ${i} and ${j}`,
        attack: (frames: readonly Flying[]) => frames.with(i, frames[j]).with(j, frames[i]),
      })),
    ),
  ]
}

/** A transfer of three chunks, ended too early in some way. */
const CHUNKS = 3
const truncations = Array.from({ length: CHUNKS }, (_, kept) => kept).flatMap((kept): Case[] => [
  {
    operator: `truncate after ${kept} of ${CHUNKS} chunks, close`,
    against: 'receiver',
    plan: () =>
      ofChunks(CHUNKS, (relay) => [
        rearranged(CHUNKS, (frames) => {
          relay.time.setTimeout(() => relay.close(relay.meeting, 'completed'), 1_000)
          return frames.slice(0, kept)
        }),
      ]),
    sender: ['closed_by_sender', 1, undefined],
    receiver: ['closed_by_sender', 1, 1],
  },
  {
    operator: `truncate after ${kept} of ${CHUNKS} chunks, be silent`,
    against: 'receiver',
    plan: () => ofChunks(CHUNKS, () => [rearranged(CHUNKS, (frames) => frames.slice(0, kept))]),
    sender: ['waits', 1, 0],
    receiver: ['waits', 1, 1],
  },
  {
    operator: `truncate to ${kept + 1} of ${CHUNKS} chunks, claim the last`,
    against: 'receiver',
    plan: () =>
      ofChunks(CHUNKS, () => [
        rearranged(CHUNKS, (frames) =>
          frames
            .slice(0, kept + 1)
            .map((frame, i) => (i === kept ? withFlag(frame, kept === CHUNKS - 1 ? 0 : 1) : frame)),
        ),
      ]),
    sender: ['not_delivered', 1, 0],
    receiver: ['corrupt', 1, 1],
  },
])

const AT_RECEIVER: Pick<Case, 'sender' | 'receiver'> = { sender: ['not_delivered', 1, 0], receiver: ['corrupt', 1, 1] }
const AT_SENDER: Pick<Case, 'sender' | 'receiver'> = { sender: ['corrupt', 1, 0], receiver: ['revoked', 1, 1] }

/** [name, what a frame becomes that is the last of its message] */
const CUTS: readonly (readonly [string, (bytes: Uint8Array) => Uint8Array])[] = [
  ['cut the last byte of', (bytes) => bytes.subarray(0, -1)],
  ['cut the whole tag of', (bytes) => bytes.subarray(0, -16)],
  ['leave only the flag of', (bytes) => bytes.subarray(0, 1)],
  ['add a byte to', (bytes) => Buffer.concat([bytes, Buffer.of(0)])],
  ['add an empty chunk to', (bytes) => Buffer.concat([bytes, new Uint8Array(16)])],
  ['put another flag before', (bytes) => Uint8Array.of(3, ...bytes.subarray(1))],
]

const cuts = CUTS.flatMap(([name, change]): Case[] => [
  {
    operator: `${name} the last chunk`,
    against: 'receiver',
    plan: () =>
      ofChunks(2, () => [rearranged(2, ([first, last]) => [first, { ...last, ciphertext: change(last.ciphertext) }])]),
    ...AT_RECEIVER,
  },
  {
    operator: `${name} the receipt`,
    against: 'sender',
    plan: () => ({
      operators: () => [onFrame('cut', isPayload('receiver'), (frame) => saying(change(frame.ciphertext))(frame))],
    }),
    ...AT_SENDER,
  },
])

/** Where frames begin and end is the relay's business: the chunks in them and their order are not. */
const regrouped: Case[] = [
  {
    operator: 'put two chunks into one frame',
    against: 'receiver',
    plan: () =>
      ofChunks(3, () => [
        rearranged(3, ([one, two, last]) => [
          { ...one, ciphertext: Buffer.concat([one.ciphertext, two.ciphertext.subarray(1)]) },
          last,
        ]),
      ]),
    ...GOOD,
  },
  {
    operator: 'put two chunks into one frame, swapped',
    against: 'receiver',
    plan: () =>
      ofChunks(3, () => [
        rearranged(3, ([one, two, last]) => [
          { ...one, ciphertext: Buffer.concat([two.ciphertext, one.ciphertext.subarray(1)]) },
          last,
        ]),
      ]),
    ...AT_RECEIVER,
  },
]

/** What comes after the last chunk of a transfer is the next message, and is not one. */
const EXTENSIONS: readonly (readonly [string, (frames: readonly Flying[]) => Uint8Array])[] = [
  ['its last chunk again', (frames) => frames[frames.length - 1].ciphertext],
  ['its first chunk again', (frames) => frames[0].ciphertext],
  ['an empty chunk', () => Uint8Array.of(1, ...new Array(16).fill(0))],
  ['noise', () => Uint8Array.of(1, ...new Array(99).fill(5))],
]

const extensions = EXTENSIONS.map(
  ([name, attacker]): Case => ({
    operator: `extend by ${name}`,
    against: 'receiver',
    plan: () =>
      ofChunks(2, () => [rearranged(2, (frames) => [...frames, { ...frames[0], ciphertext: attacker(frames) }])]),
    // The transfer itself is whole, and both know it; the surplus ends what comes after.
    sender: ['delivered', 1, 0],
    receiver: ['corrupt', 1, 1],
  }),
)

export const payloadCases: Case[] = [...truncations, ...cuts, ...extensions, ...regrouped]
