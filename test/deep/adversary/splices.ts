import type { Role } from '../../../src/protocol/view.ts'
import { attack, type Case, CORRUPT_THERE, ends, STUCK } from './cases.ts'
import { isPayload, nothing, onFrame, saying } from './operators.ts'
import { type Operator, other, type Relay } from './relay.ts'
import { recordedFrame, replaying } from './replays.ts'

/** Sealed frames in the place of others: of another message, direction or session. */

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

const two = { transfers: [[new Uint8Array(10).fill(1)], [new Uint8Array(10).fill(1)]] }

/** The frame at `seq` is not passed on. */
const skipped = (from: Role, seq: number, becomes: Exclude<Operator['data'], undefined> = nothing): Operator =>
  onFrame('skip', (frame) => frame.from === from && frame.seq === seq, becomes)

/** The channel has ended between two offers. */
const LEFT = ends(['receiver_left', 1, 0], ['revoked', 1, 1])

export const spliceCases: Case[] = [
  replaying('splice the approval of another session', 'receiver', CORRUPT_THERE, (old) => [
    instead('sender', 3, () => recordedFrame(old, 'sender', 3)),
  ]),
  replaying('splice a transfer of another session', 'receiver', CORRUPT_THERE, (old) => [
    instead('sender', 4, () => recordedFrame(old, 'sender', 4)),
  ]),
  attack(
    'splice the first transfer for the second',
    'receiver',
    CORRUPT_THERE,
    () => [instead('sender', 7, (relay) => said(relay, 'sender', 4))],
    two,
  ),
  attack('splice the approval for the transfer', 'receiver', CORRUPT_THERE, () => [
    instead('sender', 4, (relay) => said(relay, 'sender', 3)),
  ]),
  attack('skip the approval', 'receiver', STUCK, () => [skipped('sender', 3)]),
  attack(
    'skip the first of two transfers',
    'receiver',
    STUCK,
    // The sender continues only after a receipt, which no relay can make.
    ({ relay }) => [
      skipped('sender', 4, ({ guest }) => {
        relay.acknowledge(guest, 'sender', 4)
        return []
      }),
    ],
    two,
  ),
  attack('skip the end', 'receiver', ends(['delivered', 1, 0], ['closed_by_sender', 1, 1]), () => [
    skipped('sender', 7),
  ]),
  attack('reflect the payload', 'sender', ends(['corrupt', 1, 0], ['revoked', 1, 1]), () => [reflected('sender')]),
  attack('reflect the receipt', 'receiver', CORRUPT_THERE, () => [reflected('receiver')]),
  attack(
    'extend by the first receipt again',
    'sender',
    LEFT,
    () => [skipped('receiver', 5, (frame) => [frame, frame])],
    two,
  ),
  attack(
    'extend by noise after the receipt',
    'sender',
    LEFT,
    () => [skipped('receiver', 5, (frame) => [frame, ...saying(Uint8Array.of(1, ...new Array(60).fill(9)))(frame)])],
    two,
  ),
]
