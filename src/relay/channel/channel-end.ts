import { FRAME_HEADER_BYTES, HANDSHAKE_WINDOW_BYTES } from '../../protocol/limits.ts'
import type { ChannelRow } from '../../protocol/view.ts'
import { type Awaitable, after } from '../awaitable.ts'
import { inOnePiece } from '../pieces.ts'
import type { MailboxKey, MailboxPosition, MailboxStore, StoredFrame } from '../ports.ts'
import { type ChannelState, channelState, isAnswer, isHandshake } from '../session/channel-state.ts'
import { liveReceiver, type Party, presenceOf, type Session } from '../session/session.ts'
import { inbound, mailboxKey, outbound } from './direction.ts'
import type { Grant } from './grant.ts'
import type { Windows, WindowsSettings } from './windows.ts'

/** The outcome of a frame, whatever transport it came by. The edge says it in its own words. */
export type Outcome = Kept | Acked | Unkept

/** The frame is there, now or since before. */
export interface Kept {
  readonly kind: 'stored' | 'duplicate'
  readonly position: MailboxPosition
  /** Set where it let the window of its direction grow. */
  readonly grown: boolean
  /** Set for the sender's last frame of a handshake that waits for it. */
  readonly isAnswer: boolean
}

interface Acked {
  readonly kind: 'raised' | 'unchanged'
}

type Unkept =
  /** `early`: before the approval. `foreign`: no channel of this role. `gap`: neither next nor held. `full`: no room. */
  | { readonly kind: 'refused'; readonly why: 'early' | 'foreign' | 'gap' | 'full' }
  /** The store does not have what it had: the client has to resume. */
  | { readonly kind: 'forgotten' }
  | { readonly kind: 'ended' }

const FORGOTTEN = { kind: 'forgotten' } as const
const ENDED = { kind: 'ended' } as const
const FOREIGN = { kind: 'refused', why: 'foreign' } as const
/** Where a direction is that nobody has used. */
const NOWHERE: MailboxPosition = { received: 0, acked: 0 }
/** The window of a writer over HTTP where any node may be asked: this many full frames. It does not grow. */
const HTTP_WINDOW_FRAMES = 4

/** The part that all ends of a node have in common. */
export interface EndRules extends Pick<WindowsSettings, 'windowBytes' | 'maxFrameBytes'> {
  readonly windows: Windows
  /** Set for one of several nodes. */
  readonly cluster: object | undefined
}

/** Where an end is. */
export interface EndPlacement {
  readonly sessionId: string
  readonly party: Party
  readonly channel: number
  readonly mailboxes: MailboxStore
  /** Set where other nodes reach the mailboxes. */
  readonly isShared: boolean
  /** The windows that this node grants the channel, if it does. */
  readonly grant: Grant | undefined
}

/** A role's end of a channel: where it writes and reads, and the rules for both. Closes nothing: it answers in outcomes. */
export class ChannelEnd {
  readonly party: Party
  readonly channel: number
  readonly isShared: boolean
  /** The last frame of this role that is known to be kept. A store in which there are fewer has lost some. */
  received = 0
  /** The last frame that was read for this role. Undefined until it is open. */
  readAfter: number | undefined
  /** Resolves when the mailboxes are there, as long as they are not. */
  opening: Promise<void> | undefined
  readonly #rules: EndRules
  readonly #mailboxes: MailboxStore
  readonly #grant: Grant | undefined
  readonly #out: MailboxKey
  readonly #in: MailboxKey

  constructor(rules: EndRules, { sessionId, party, channel, mailboxes, isShared, grant }: EndPlacement) {
    this.#rules = rules
    this.party = party
    this.channel = channel
    this.isShared = isShared
    this.#mailboxes = mailboxes
    this.#grant = grant
    this.#out = mailboxKey(sessionId, channel, outbound(party))
    this.#in = mailboxKey(sessionId, channel, inbound(party))
  }

  /**
   * Opens both directions. One that was not there (`forgotten`) begins where the client says that it is; in one that is there,
   * the client's word counts for what it has read alone: as a writer it would ack its own frames.
   */
  async open(
    { received, acked }: { readonly received: number; readonly acked: number },
    keepMs: number,
  ): Promise<{ readonly forgotten: boolean; readonly acked: number }> {
    const out = await this.#mailboxes.open(this.#out, acked, keepMs)
    const into = await this.#mailboxes.open(this.#in, received, keepMs)
    const read = into.position.acked < received ? await this.#mailboxes.ackThrough(this.#in, received) : undefined
    const position = read && read.kind !== 'unknown' ? read.position : into.position
    this.received = Math.max(this.received, out.position.received)
    // Two looks at the session may both have opened it: what was read stays read.
    this.readAfter ??= Math.max(received, position.acked)
    return { forgotten: out.created || into.created, acked: position.acked }
  }

  /** Keeps the next frame of this role, if its session and its window let it. */
  put(session: Session, frame: StoredFrame, now: number): Awaitable<Kept | Unkept> {
    const { seq, bytes } = frame
    const state = channelState(session, this.party, this.channel, now)
    if (state === 'ended') return ENDED
    if (state === 'invalid') return FOREIGN
    if (state === 'pending' && !isHandshake(seq, bytes.length - FRAME_HEADER_BYTES))
      return { kind: 'refused', why: 'early' }
    return after(this.#mailboxes.append(this.#out, frame, this.windowIn(session)), (outcome) => {
      switch (outcome.kind) {
        case 'stored':
        case 'duplicate': {
          const { kind, position, unackedCost } = outcome
          if (kind === 'stored') this.received = seq
          const grown = kind === 'stored' && this.#grow(session, unackedCost)
          return { kind, position, grown, isAnswer: isAnswer(session, this.party, this.channel, seq) }
        }
        case 'gap':
          // Either the client has left one out, or the store has lost what it had.
          return seq === this.received + 1 ? FORGOTTEN : { kind: 'refused', why: 'gap' }
        case 'full':
          return { kind: 'refused', why: 'full' }
        case 'unknown':
          return FORGOTTEN
        default:
          return outcome satisfies never
      }
    })
  }

  /** Acks the frames for this role up to a seq. */
  ackThrough(session: Session, seq: number, now: number): Awaitable<Acked | Unkept> {
    const state = channelState(session, this.party, this.channel, now)
    if (state === 'ended') return ENDED
    if (state === 'invalid') return FOREIGN
    return after(this.#mailboxes.ackThrough(this.#in, seq), ({ kind }) => (kind === 'unknown' ? FORGOTTEN : { kind }))
  }

  /** The first frame for this role above a seq. */
  next(seq: number): Awaitable<StoredFrame | undefined> {
    return this.#mailboxes.read(this.#in, seq)
  }

  /** Where the frames for this role are. Undefined when the store does not have them. */
  inboundPosition(): Awaitable<MailboxPosition | undefined> {
    return this.#mailboxes.position(this.#in)
  }

  /** Reports whether another frame of this role is held at this seq. */
  async holdsAnother({ seq, bytes }: StoredFrame): Promise<boolean> {
    const held = await this.#mailboxes.read(this.#out, seq - 1)
    if (held?.seq !== seq) return false
    const [there, here] = [inOnePiece(held.bytes), inOnePiece(bytes)]
    return there.length !== here.length || there.some((byte, i) => byte !== here[i])
  }

  /** The row of this end in a view, with what can be fetched if asked. `isWhole` is false where a store has lost something. */
  async row(session: Session, isFetching: boolean): Promise<{ readonly row: ChannelRow; readonly isWhole: boolean }> {
    const out = await this.#mailboxes.position(this.#out)
    const row = { channel: this.channel, ...(out ?? NOWHERE), window: this.windowIn(session) }
    const isWhole = out !== undefined && out.received >= this.received
    if (!isFetching) return { row, isWhole }
    const into = await this.inboundPosition()
    return { row: { ...row, available: (into ?? NOWHERE).received }, isWhole: isWhole && into !== undefined }
  }

  /** The cost that this role may have unacknowledged. */
  windowIn(session: Session): number {
    const { cluster, windowBytes, maxFrameBytes } = this.#rules
    const granted = this.#grant?.bytes[outbound(this.party)]
    if (!cluster) return granted ?? 0
    const writesAnywhere = this.#mayWriteAnywhere(session)
    if (granted !== undefined && !writesAnywhere) return granted
    if (liveReceiver(session, this.channel)?.state !== 'approved') return HANDSHAKE_WINDOW_BYTES
    return writesAnywhere ? Math.min(windowBytes, HTTP_WINDOW_FRAMES * maxFrameBytes) : maxFrameBytes
  }

  #grow(session: Session, unackedCost: number): boolean {
    if (!this.#grant || this.#mayWriteAnywhere(session)) return false
    return this.#rules.windows.grow(this.#grant, outbound(this.party), unackedCost)
  }

  /** Reports whether each node must promise this role the same, whatever it has granted for the other end's socket. */
  #mayWriteAnywhere(session: Session): boolean {
    return this.#rules.cluster !== undefined && presenceOf(session, this.party)?.via === 'http'
  }
}

export function isKept(outcome: Outcome): outcome is Kept {
  return outcome.kind === 'stored' || outcome.kind === 'duplicate'
}

/** Reports whether no news of the session can make another outcome of it. */
export function isFinal(outcome: Outcome): boolean {
  if (outcome.kind === 'refused') return outcome.why === 'gap' || outcome.why === 'full'
  return outcome.kind !== 'forgotten'
}

/** The outcome of a frame of a channel that has no end here. */
export function outcomeWithoutEnd(state: ChannelState): Unkept {
  if (state === 'ended') return ENDED
  return state === 'invalid' ? FOREIGN : FORGOTTEN
}
