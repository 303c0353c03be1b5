import { M1, M2, M3, M4, split } from '../../../src/crypto/handshake-messages.ts'
import type { ReceiverRow, Role, View } from '../../../src/protocol/view.ts'
import type { Flying, Operator } from './relay.ts'

/** The moves that everything else is composed of. */

/** Where each message of the handshake travels. */
export const MESSAGES = {
  m1: { from: 'receiver', seq: 1, fields: M1 },
  m2: { from: 'sender', seq: 1, fields: M2 },
  m3: { from: 'receiver', seq: 2, fields: M3 },
  m4: { from: 'sender', seq: 2, fields: M4 },
} as const satisfies Record<string, { from: Role; seq: number; fields: readonly number[] }>

export type Message = keyof typeof MESSAGES
export const messages = Object.keys(MESSAGES) as Message[]

export const isMessage = ({ from, seq }: Pick<Flying, 'from' | 'seq'>, message: Message): boolean =>
  MESSAGES[message].from === from && MESSAGES[message].seq === seq

/** The frames that one frame becomes, if it is the one. */
export function onFrame(
  name: string,
  which: (frame: Flying) => boolean,
  becomes: Exclude<Operator['data'], undefined>,
): Operator {
  return { name, data: (frame, relay) => (which(frame) ? becomes(frame, relay) : undefined) }
}

export function onMessage(message: Message, becomes: Exclude<Operator['data'], undefined>): Operator {
  return onFrame(message, (frame) => isMessage(frame, message), becomes)
}

export const isPayload = (from: Role) => (frame: Flying) => frame.from === from && frame.seq > 2

/** The receipt of the first offer, or what comes later. */
export const isReceipt = ({ from, seq }: Flying) => from === 'receiver' && seq > 4

/** Other bytes in a frame. */
export const saying = (ciphertext: Uint8Array) => (frame: Flying) => [{ ...frame, ciphertext }]
export const nothing = () => []

/** Another value in one field of a message of the handshake. */
export function swapField(message: Message, field: number, value: (old: Uint8Array) => Uint8Array): Operator {
  return onMessage(message, (frame) => {
    const fields: Uint8Array[] = [...split(frame.ciphertext, MESSAGES[message].fields)]
    fields[field] = value(fields[field])
    return [{ ...frame, ciphertext: Buffer.concat(fields) }]
  })
}

/** Delivers a frame so much later, when others may have overtaken it. */
export function delay(message: Message, ms: number): Operator {
  return onMessage(message, (frame, relay) => {
    relay.time.setTimeout(() => relay.deliver(frame), ms)
    return []
  })
}

/** Another view for one role, from when a condition first holds. */
export function lie(to: Role, change: (view: View) => View | string | undefined, since = (_: View) => true): Operator {
  let begun = false
  return {
    name: 'lie',
    view(view, role) {
      if (role !== to) return view
      begun ||= since(view)
      return begun ? change(view) : view
    },
  }
}

/** Another first row in the views of one role. */
export function lieAboutRow(to: Role, change: Partial<ReceiverRow>, since?: (view: View) => boolean): Operator {
  return lie(
    to,
    (view) => ({ ...view, receivers: view.receivers.map((row, i) => (i === 0 ? { ...row, ...change } : row)) }),
    since,
  )
}

export const hasRow = (view: View) => view.receivers.length > 0
/** True from the second view on that has a row: by then it is pinned. */
export function pinned(): (view: View) => boolean {
  let seen = 0
  return (view) => hasRow(view) && ++seen > 1
}
