import type { DenialReason } from '../../../src/protocol/fields.ts'
import type { CloseReason, ReceiverState, Role, View } from '../../../src/protocol/view.ts'
import type { Plug } from './plug.ts'

/** A relay's record of a session. Nothing here is hostile: `relay.ts` is. */

/** A direction of a channel. */
export interface Line {
  /** Data frames the relay has from the writer. */
  received: number
  /** The seq that the writer was told the reader has processed. */
  acked: number
  /** Frames given to the reader, in the reader's own numbering. */
  readonly delivered: Uint8Array[]
}

/** A receiver, or somebody the relay made up: then `hears` gets what the sender says to it. */
export interface Guest {
  readonly receiverCode: string
  readonly publicKey: string
  readonly name: string | undefined
  readonly token: string
  readonly channel: number
  readonly lines: Readonly<Record<Role, Line>>
  readonly hears: ((ciphertext: Uint8Array) => void) | undefined
  /** The receiver code as the device knows it. */
  readonly ownCode: string
  readonly ownKey: string
  state: ReceiverState
  reason?: DenialReason
  plug: Plug | undefined
}

export const LIMITS = { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 8, ttlSeconds: 900 }
const HANDSHAKE_WINDOW = 4_096

export class Meeting {
  readonly sessionId: string
  readonly locator: string
  readonly token: string
  readonly guests: Guest[] = []
  plug: Plug | undefined
  retired = false
  closed: CloseReason | undefined
  #version = 0

  constructor(sessionId: string, locator: string, token: string) {
    this.sessionId = sessionId
    this.locator = locator
    this.token = token
  }

  guest(channel: number): Guest | undefined {
    return this.guests[channel - 1]
  }

  /** An honest view: the sender's, or that of one guest. */
  view(of: Guest | 'sender'): View {
    const shown = of === 'sender' ? this.guests : [of]
    const direction = of === 'sender' ? 'sender' : 'receiver'
    const open = this.closed === undefined
    return {
      type: 'session',
      version: `${++this.#version}`,
      role: direction,
      state: open ? 'open' : 'closed',
      ...(this.closed ? { reason: this.closed } : {}),
      expiresInMs: open ? LIMITS.ttlSeconds * 1000 : 0,
      joinable: open && !this.retired,
      ...(of === 'sender' ? {} : { senderPresent: this.plug !== undefined }),
      receivers: shown.map((guest) => ({
        receiverCode: of === 'sender' ? guest.receiverCode : guest.ownCode,
        channel: guest.channel,
        state: guest.state,
        ...(guest.reason ? { reason: guest.reason } : {}),
        ...(open && isLive(guest)
          ? {
              publicKey: of === 'sender' ? guest.publicKey : guest.ownKey,
              ...(guest.name === undefined ? {} : { name: guest.name }),
              present: guest.plug !== undefined || guest.hears !== undefined,
            }
          : {}),
      })),
      channels: shown
        .filter((guest) => open && isLive(guest))
        .map((guest) => ({
          channel: guest.channel,
          received: guest.lines[direction].received,
          acked: guest.lines[direction].acked,
          window: guest.state === 'approved' ? LIMITS.windowBytes : HANDSHAKE_WINDOW,
        })),
    }
  }
}

export function isLive({ state }: Guest): boolean {
  return state === 'pending' || state === 'approved'
}

export const newLine = (): Line => ({ received: 0, acked: 0, delivered: [] })
