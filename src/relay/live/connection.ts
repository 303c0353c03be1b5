import type { CloseErrorCode } from '../../protocol/errors.ts'
import { ATTACH_TIMEOUT_MS } from '../../protocol/limits.ts'
import { type Awaitable, after } from '../awaitable.ts'
import type { Outcome } from '../channel/channel-end.ts'
import { closeCodeOf, RelayError } from '../errors.ts'
import { type Bytes, type PiecedFrame, readFrame } from '../pieces.ts'
import type { Clock, Diagnostics, PeerSocket } from '../ports.ts'
import type { Link } from './link.ts'
import type { LiveSession } from './live-session.ts'

export interface ConnectionPorts {
  /** Takes the first message: it must attach the connection. */
  attach(connection: Connection, data: string | Bytes): Promise<void>
  /** All that have not attached. This one takes itself out. */
  readonly opening: Set<Connection>
  readonly clock: Clock
  readonly diagnostics: Diagnostics
  readonly maxFrameBytes: number
}

/** Bytes that a socket may send while a store is slow, besides what it may have unacknowledged: acks and the like. */
const QUEUE_SLACK_BYTES = 65_536
/** The cost of a message that waits, beside its bytes. */
const QUEUED_COST = 64

/**
 * The inbound side of a socket: its attach, then the frames of its link. They are taken one after the other, whatever the store
 * needs for each (order is the protocol), and at once when nothing is waited for.
 */
export class Connection {
  readonly sessionId: string
  readonly socket: PeerSocket
  readonly #openedAt: number
  readonly #ports: ConnectionPorts
  #live: LiveSession | undefined
  #link: Link | undefined
  /** Set when it was closed before it attached. */
  #isClosed = false
  #last: Promise<void> | undefined
  /** The cost of the messages that wait, in bytes. */
  #queued = 0

  constructor(sessionId: string, socket: PeerSocket, ports: ConnectionPorts) {
    this.sessionId = sessionId
    this.socket = socket
    this.#ports = ports
    this.#openedAt = ports.clock.now()
    ports.opening.add(this)
  }

  get isClosed(): boolean {
    return this.#link?.closed ?? this.#isClosed
  }

  /** Says which link it is from now on. */
  become(live: LiveSession, link: Link): void {
    this.#ports.opening.delete(this)
    this.#live = live
    this.#link = link
  }

  receive(data: string | Bytes): void {
    // A pong may wait behind much data.
    this.pong()
    if (this.#last) return this.#queue(this.#last, data)
    try {
      const taking = this.#take(data)
      if (taking instanceof Promise) this.#waitFor(taking)
    } catch (error) {
      this.#fail(error)
    }
  }

  pong(): void {
    if (this.#link) this.#link.unansweredPings = 0
  }

  /** A congested socket has room again. */
  drained(): void {
    this.#link?.drained()
  }

  /** The socket is no more. What it brought before is taken first. */
  gone(): void {
    this.#waitFor(
      Promise.resolve(this.#last).then(() => {
        this.#isClosed = true
        this.#ports.opening.delete(this)
        return this.#link && this.#live?.remove(this.#link)
      }),
    )
  }

  /** Closes one that has not attached. */
  close(code: CloseErrorCode): void {
    this.#ports.opening.delete(this)
    if (this.#isClosed) return
    this.#isClosed = true
    this.socket.close(code)
  }

  /** Closes one that has not attached in time. */
  tick(now: number): void {
    if (now - this.#openedAt >= ATTACH_TIMEOUT_MS) this.close('attach_timeout')
  }

  #take(data: string | Bytes): Awaitable<void> {
    if (this.isClosed) return
    const live = this.#live
    const link = this.#link
    if (!live || !link) return this.#ports.attach(this, data)
    if (typeof data === 'string') throw new RelayError('invalid_frame')
    const frame = readFrame(data)
    return after(live.offer(link, frame), (outcome) => this.#tell(link, frame, outcome))
  }

  #queue(last: Promise<void>, data: string | Bytes): void {
    const cost = data.length + QUEUED_COST
    const mayBeUnacked = this.#link?.mayHaveUnacked(this.#live?.value) ?? this.#ports.maxFrameBytes
    // A client that keeps to its windows never has more than that on its way, however slow the store is.
    if (this.#queued + cost > mayBeUnacked + QUEUE_SLACK_BYTES) return this.#fail(new RelayError('window_exceeded'))
    this.#queued += cost
    this.#waitFor(
      last.then(() => {
        this.#queued -= cost
        return this.#take(data)
      }),
    )
  }

  #waitFor(work: Promise<void>): void {
    const last = work
      .catch((error: unknown) => this.#fail(error))
      .then(() => {
        if (this.#last === last) this.#last = undefined
      })
    this.#last = last
  }

  #fail(error: unknown): void {
    if (this.#live && this.#link) return this.#live.fail(this.#link, error)
    const code = closeCodeOf(error)
    if (code === 'internal') this.#ports.diagnostics.failed(error)
    this.close(code)
  }

  /** Tells the client what became of its frame. RelayError for what closes its link. */
  #tell(link: Link, { channel }: PiecedFrame, outcome: Outcome): Awaitable<void> {
    switch (outcome.kind) {
      case 'stored':
        return outcome.grown ? void link.showView() : undefined
      case 'duplicate':
        return link.passAck(channel, outcome.position.acked)
      case 'raised':
      case 'unchanged':
        return undefined
      case 'ended':
        return this.#ports.diagnostics.discarded('channel_ended')
      case 'forgotten':
        throw new RelayError('resume_required')
      case 'refused':
        throw new RelayError(outcome.why === 'full' ? 'window_exceeded' : 'invalid_frame')
      default:
        return outcome satisfies never
    }
  }
}
