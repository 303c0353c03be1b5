import { HandshakeError } from '../../../src/crypto/handshake.ts'
import {
  m1,
  m2,
  m3,
  m4,
  newReceiver,
  newSender,
  receiverAwaitingM4,
  senderAwaitingM3,
  sessionId,
} from '../../crypto/runs.ts'
import { flipBit } from '../../crypto/support.ts'
import { MESSAGES, type Message, messages } from './operators.ts'

/** Flips a bit of a message, against the state machines: the run must die before it verifies anybody. */

const BYTES: Record<Message, Uint8Array> = { m1, m2, m3, m4 }
const NAMES: Record<Message, readonly string[]> = {
  m1: ['n_R', 'commit_R', 'ek'],
  m2: ['X_S', 'commit_S', 'Ya', 'ct'],
  m3: ['Yb', 'T_R'],
  m4: ['n_S', 'T_S'],
}

/** A guess is spent by what the receiver has answered (m2) or tagged (T_R), and never by the rest. */
type Death = 'no guess' | 'a guess' | 'verified'

const DEATHS: Readonly<Record<string, readonly Death[]>> = {
  X_S: ['a guess'],
  commit_S: ['a guess'],
  // Half of all encodings are no point: those the receiver does not answer.
  Ya: ['a guess', 'no guess'],
  ct: ['a guess'],
  T_R: ['a guess'],
}

const flips: Record<Message, (bit: number) => void> = {
  m1: (bit) => {
    const [sender, receiver] = [newSender(), newReceiver()]
    receiver.start(sessionId)
    sender.answerM3(receiver.answerM2(sender.answerM1(flipBit(m1, bit))))
  },
  m2: (bit) => {
    const [sender, receiver] = [senderAwaitingM3(), newReceiver()]
    receiver.start(sessionId)
    sender.answerM3(receiver.answerM2(flipBit(m2, bit)))
  },
  m3: (bit) => void senderAwaitingM3().answerM3(flipBit(m3, bit)),
  m4: (bit) => void receiverAwaitingM4().finish(flipBit(m4, bit)),
}

function deathOf(message: Message, bit: number): Death {
  try {
    flips[message](bit)
    return 'verified'
  } catch (error) {
    if (error instanceof HandshakeError) return error.guessSpent ? 'a guess' : 'no guess'
    throw error
  }
}

export interface FieldReport {
  readonly message: Message
  readonly field: string
  readonly flipped: number
  /** Bits of the message after whose flip it ended in another way than it must. */
  readonly wrong: readonly number[]
}

/** Flips every bit of every field, or `perField` of them, spread over its bytes and over the bits of a byte. */
export function* flipped(perField = Number.POSITIVE_INFINITY): Generator<FieldReport> {
  for (const message of messages) {
    let first = 0
    for (const [i, bytes] of MESSAGES[message].fields.entries()) {
      const field = NAMES[message][i]
      const allowed = DEATHS[field] ?? ['no guess']
      const all = Array.from({ length: bytes * 8 }, (_, bit) => first * 8 + bit)
      const bits = perField >= all.length ? all : sample(all, perField)
      first += bytes
      yield {
        message,
        field,
        flipped: bits.length,
        wrong: bits.filter((bit) => !allowed.includes(deathOf(message, bit))),
      }
    }
    if (first !== BYTES[message].length) throw new Error(`the fields of ${message} are not all of it`)
  }
}

const sample = (all: readonly number[], count: number) =>
  Array.from({ length: count }, (_, i) => {
    const byte = Math.floor((i * (all.length / 8 - 1)) / Math.max(1, count - 1))
    return all[byte * 8 + (i % 8)]
  })
