import fc from 'fast-check'
import type { DenialReason } from '../../../src/protocol/fields.ts'

/** Programs of commands. Numbers choose among what there is when a command is run, so that most meet something. */

/** Whose token a command shows: mostly the right one. */
export type As = 'right' | 'sender' | 'receiver' | 'other session' | 'nobody'

interface In {
  readonly at: number
  readonly receiver: number
  readonly as: As
}

interface Join {
  readonly do: 'join'
  readonly at: number
  readonly receiver: number
  readonly wrongCode: boolean
  /** Where the receiver comes from. */
  readonly source: string
}

export type Command =
  | {
      readonly do: 'create'
      readonly code: number
      readonly client: number
      readonly ttl: number
      readonly max: number
    }
  | Join
  | (In & { readonly do: 'decide'; readonly decision: 'approved' | DenialReason })
  | (In & { readonly do: 'leave' | 'revoke' | 'retire' | 'close' | 'view' })
  | (In & { readonly do: 'attach'; readonly sender: boolean; readonly behind: number })
  | { readonly do: 'detach'; readonly socket: number }
  | {
      readonly do: 'data'
      readonly socket: number
      readonly channel: number
      /** How far from the next seq: 0 is right, below is a duplicate, above a gap. */
      readonly off: number
      readonly size: number
      readonly times: number
    }
  | { readonly do: 'ack'; readonly socket: number; readonly channel: number; readonly off: number }
  | { readonly do: 'nonsense'; readonly socket: number; readonly message: string | Uint8Array }
  | { readonly do: 'pass'; readonly milliseconds: number }

const small = fc.nat({ max: 5 })
const receiver = fc.nat({ max: 11 })
const socket = fc.nat({ max: 7 })
const one = <T>(...values: T[]) => fc.constantFrom(...values)
const as = fc.oneof(
  { weight: 12, arbitrary: one<As>('right') },
  { weight: 3, arbitrary: one<As>('sender', 'receiver', 'other session', 'nobody') },
)
const where = { at: small, receiver, as }

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: one('create' as const),
      code: small,
      client: fc.nat({ max: 2 }),
      ttl: one(30, 900, 3600),
      max: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: one('join' as const),
      at: small,
      receiver,
      wrongCode: one(false, false, false, true),
      source: one('192.0.2.1', '192.0.2.1', '192.0.2.1', '192.0.2.2'),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: one('decide' as const),
      ...where,
      decision: one<'approved' | DenialReason>(
        'approved',
        'approved',
        'rejected',
        'handshake_failed',
        'handshake_timeout',
      ),
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: one('leave' as const, 'revoke' as const), ...where }) },
  { weight: 2, arbitrary: fc.record({ do: one('retire' as const, 'close' as const), ...where }) },
  { weight: 1, arbitrary: fc.record({ do: one('view' as const), ...where }) },
  {
    weight: 14,
    arbitrary: fc.record({
      do: one('attach' as const),
      ...where,
      sender: fc.boolean(),
      behind: one(0, 0, 0, 1, 3, 99),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: one('detach' as const), socket }) },
  {
    weight: 24,
    arbitrary: fc.record({
      do: one('data' as const),
      socket,
      channel: small,
      off: fc.oneof({ weight: 12, arbitrary: one(0) }, { weight: 3, arbitrary: one(-3, -1, 1, 5) }),
      size: one(1, 20, 248, 249, 2_000, 2_048, 2_049, 4_000),
      times: one(1, 1, 1, 2, 5),
    }),
  },
  {
    weight: 14,
    arbitrary: fc.record({ do: one('ack' as const), socket, channel: small, off: one(0, 0, 0, 0, 1, 3, -1, -2) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: one('nonsense' as const),
      socket,
      message: one<string | Uint8Array>(
        '{}',
        new Uint8Array(7),
        new Uint8Array(9),
        Buffer.from('0300000100000001', 'hex'),
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: one('pass' as const), milliseconds: one(1, 999, 5_000, 25_000, 60_000) }) },
)

export const program: fc.Arbitrary<Command[]> = fc.array(command, { minLength: 20, maxLength: 120, size: 'max' })
