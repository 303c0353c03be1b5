import fc from 'fast-check'
import type { DenialReason } from '../../../src/protocol/fields.ts'
import { often } from '../../support/property.ts'

/** Programs of commands. Numbers choose among what there is when a command is run, so that most meet something. */

/** The token that a command shows: in most cases the right one. */
export type As = 'right' | 'sender' | 'receiver' | 'other session' | 'nobody'

const small = fc.nat({ max: 5 })
const receiver = fc.nat({ max: 31 })
const socket = fc.nat({ max: 7 })
const one = <T>(...values: T[]) => fc.constantFrom(...values)
const as = fc.oneof(
  { weight: 12, arbitrary: one<As>('right') },
  { weight: 3, arbitrary: one<As>('sender', 'receiver', 'other session', 'nobody') },
)
/** Mostly one of them, so that much happens to it. */
const at = fc.oneof({ weight: 2, arbitrary: one(0) }, { weight: 1, arbitrary: small })
const where = { at, receiver, as }

const inSessions = [
  often(4, ['create'], {
    code: small,
    client: fc.nat({ max: 2 }),
    ttl: one(30, 900, 3600),
    max: fc.integer({ min: 1, max: 8 }),
  }),
  // From where the receiver comes is its source. A join that fails has a handshake that comes to nothing at once.
  often(14, ['join'], {
    at,
    receiver,
    named: fc.boolean(),
    fails: fc.boolean(),
    wrongCode: one(...new Array<boolean>(7).fill(false), true),
    source: fc.oneof(
      { weight: 1, arbitrary: one('192.0.2.99') },
      { weight: 1, arbitrary: fc.nat({ max: 20 }).map((number) => `192.0.2.${number}`) },
    ),
  }),
  often(9, ['decide'], {
    ...where,
    decision: one<'approved' | DenialReason>(
      'approved',
      'approved',
      'rejected',
      'handshake_failed',
      'handshake_timeout',
      'handshake_invalid',
    ),
  }),
  often(5, ['leave', 'revoke'], where),
  often(2, ['retire', 'close'], where),
  often(1, ['view'], where),
  often(14, ['attach'], { ...where, sender: fc.boolean(), behind: one(0, 0, 0, 1, 3, 99) }),
  often(3, ['detach'], { socket }),
  often(4, ['pass'], { milliseconds: one(1, 999, 5_000, 25_000, 60_000, 300_000) }),
]
const onSockets = [
  often(24, ['data'], {
    socket,
    channel: small,
    // How far from the next seq: 0 is right, below is a duplicate, above a gap.
    off: fc.oneof({ weight: 12, arbitrary: one(0) }, { weight: 3, arbitrary: one(-3, -1, 1, 5) }),
    size: one(1, 20, 248, 249, 2_000, 2_048, 2_049, 4_000),
    times: one(1, 1, 1, 2, 5),
  }),
  often(14, ['ack'], { socket, channel: small, off: one(0, 0, 0, 0, 1, 3, -1, -2) }),
  often(1, ['nonsense'], {
    socket,
    message: one<string | Uint8Array>(
      '{}',
      new Uint8Array(7),
      new Uint8Array(9),
      Buffer.from('0300000100000001', 'hex'),
    ),
  }),
]
const command = fc.oneof(...inSessions, ...onSockets)
export type Command = typeof command extends fc.Arbitrary<infer C> ? C : never

export const program: fc.Arbitrary<Command[]> = fc.array(command, { minLength: 20, maxLength: 120, size: 'max' })
/** Nobody says anything on a socket: more happens to sessions. */
export const wordless: fc.Arbitrary<Command[]> = fc.array(fc.oneof(...inSessions), { maxLength: 150, size: 'max' })
