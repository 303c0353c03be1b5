import type { Role } from '../../../src/protocol/view.ts'
import type { Case } from './cases.ts'
import { isPayload, nothing, onFrame, saying } from './operators.ts'
import { type Operator, other, type Relay } from './relay.ts'
import { recordedFrame, recording } from './replays.ts'

/** Sealed frames in the place of others: of another message, direction or session. */

const AT_RECEIVER: Pick<Case, 'sender' | 'receiver'> = { sender: ['not_delivered', 1, 0], receiver: ['corrupt', 1, 1] }

/** Another frame in the place of every payload frame of one side. */
const splice = (
  operator: string,
  against: Role,
  plan: Case['plan'],
  received: Pick<Case, 'sender' | 'receiver'>,
): Case => ({
  operator,
  against,
  plan,
  ...received,
})

/** The frame at `seq` becomes an earlier one. */
const instead = (from: Role, seq: number, attacker: (relay: Relay) => Uint8Array | undefined): Operator =>
  onFrame(
    'splice',
    (frame) => frame.from === from && frame.seq === seq,
    (frame, relay) => {
      const bytes = attacker(relay)
      return bytes ? saying(bytes)(frame) : [frame]
    },
  )

const said = ({ frames }: Relay, from: Role, seq: number) =>
  frames.find((frame) => frame.from === from && frame.seq === seq)?.ciphertext

/** A device hears what it has said, and the other one does not. */
const reflected = (from: Role): Operator =>
  onFrame('reflect', isPayload(from), (frame, relay) => {
    relay.deliver({ ...frame, from: other(from) })
    return []
  })

const two = [[new Uint8Array(10).fill(1)], [new Uint8Array(10).fill(1)]]

export const spliceCases: Case[] = [
  splice(
    'splice the approval of another session',
    'receiver',
    async () => {
      const attacker = recordedFrame(await recording(), 'sender', 3)
      return { operators: () => [instead('sender', 3, () => attacker)] }
    },
    AT_RECEIVER,
  ),
  splice(
    'splice a transfer of another session',
    'receiver',
    async () => {
      const attacker = recordedFrame(await recording(), 'sender', 4)
      return { operators: () => [instead('sender', 4, () => attacker)] }
    },
    AT_RECEIVER,
  ),
  splice(
    'splice the first transfer for the second',
    'receiver',
    () => ({ transfers: two, operators: () => [instead('sender', 5, (relay) => said(relay, 'sender', 4))] }),
    AT_RECEIVER,
  ),
  splice(
    'splice the approval for the transfer',
    'receiver',
    () => ({ operators: () => [instead('sender', 4, (relay) => said(relay, 'sender', 3))] }),
    AT_RECEIVER,
  ),
  splice(
    'skip the approval',
    'receiver',
    () => ({ operators: () => [onFrame('skip', ({ from, seq }) => from === 'sender' && seq === 3, nothing)] }),
    AT_RECEIVER,
  ),
  splice(
    'skip the first of two transfers',
    'receiver',
    () => ({
      transfers: two,
      operators: (relay) => [
        onFrame(
          'skip',
          ({ from, seq }) => from === 'sender' && seq === 4,
          (frame) => {
            // The sender goes on only after a receipt, which no relay can make.
            relay.acknowledge(frame.guest, 'sender', 4)
            return []
          },
        ),
      ],
    }),
    { sender: ['waits', 1, 0], receiver: ['waits', 1, 1] },
  ),
  splice(
    'skip the end',
    'receiver',
    () => ({ operators: () => [onFrame('skip', ({ from, seq }) => from === 'sender' && seq === 5, nothing)] }),
    { sender: ['delivered', 1, 0], receiver: ['closed_by_sender', 1, 1] },
  ),
  splice('reflect the payload', 'sender', () => ({ operators: () => [reflected('sender')] }), {
    sender: ['corrupt', 1, 0],
    receiver: ['revoked', 1, 1],
  }),
  splice('reflect the receipt', 'receiver', () => ({ operators: () => [reflected('receiver')] }), AT_RECEIVER),
  splice(
    'extend by the first receipt again',
    'sender',
    () => ({
      transfers: two,
      operators: () => [
        onFrame(
          'again',
          ({ from, seq }) => from === 'receiver' && seq === 3,
          (frame) => [frame, frame],
        ),
      ],
    }),
    { sender: ['corrupt', 1, 0], receiver: ['revoked', 1, 1] },
  ),
  splice(
    'extend by noise after the receipt',
    'sender',
    () => ({
      transfers: two,
      operators: () => [
        onFrame(
          'noise',
          ({ from, seq }) => from === 'receiver' && seq === 3,
          (frame) => [frame, { ...frame, ciphertext: Uint8Array.of(1, ...new Array(60).fill(9)) }],
        ),
      ],
    }),
    { sender: ['corrupt', 1, 0], receiver: ['revoked', 1, 1] },
  ),
]
