import type { View } from '../../protocol/view.ts'
import type { Awaitable } from '../awaitable.ts'
import type { Channels } from '../channel/channels.ts'
import { RelayError } from '../errors.ts'
import { type Clock, type Cluster, livingIn, type SessionStore, type StoredFrame } from '../ports.ts'
import { liveReceiver, type Session } from '../session/session.ts'
import { viewOf } from '../session/view.ts'
import { isHandshake } from './intake.ts'
import { type AttachedLeg, keyOf } from './leg.ts'

export interface FeedPorts {
  readonly sessions: SessionStore
  readonly channels: Channels
  readonly clock: Clock
  readonly cluster: Cluster | undefined
  /** Re-reads a session and brings all its sockets in line. */
  refresh(sessionId: string): Promise<void>
}

/** The source of all that goes out on sockets: views, and frames from the mailboxes. */
export class Feed {
  readonly #ports: FeedPorts

  constructor(ports: FeedPorts) {
    this.#ports = ports
  }

  /** RelayError `resume_required` when a store has lost what it had. */
  async view({ attached }: AttachedLeg): Promise<View> {
    const { channels, sessions, clock, cluster } = this.#ports
    let rows = await channels.openRows(attached)
    if (!rows) {
      // Either a channel has ended at another node, and this one has not heard of it, or the store has lost what it had.
      const session = await sessions.get(attached.sessionId)
      if (session && session.version > attached.session.version) attached.session = session
      rows = await channels.openRows(attached)
    }
    if (!rows) throw new RelayError('resume_required')
    const windowsVersion = channels.windowsVersionOf(attached.session)
    const context = { channels: rows, windowsVersion, now: clock.now(), isAlive: livingIn(cluster) }
    return viewOf(attached.session, attached.holder, context)
  }

  /** The next frame of an inbound channel after a seq, if it may be shown. */
  nextFrame(leg: AttachedLeg, channel: number, after: number): Awaitable<StoredFrame | undefined> {
    const { session, channels } = leg.attached
    const frame = channels?.get(channel)?.mailboxes.read(keyOf(leg, channel, 'inbound'), after)
    return frame instanceof Promise ? this.#afterApproval(leg, session, channel, frame) : frame
  }

  /** From another node a frame can come before the news that allowed it. It waits until the news was shown. */
  async #afterApproval(
    leg: AttachedLeg,
    session: Session,
    channel: number,
    reading: Promise<StoredFrame | undefined>,
  ): Promise<StoredFrame | undefined> {
    const frame = await reading
    if (!frame || isHandshake(frame) || liveReceiver(session, channel)?.state !== 'pending') return frame
    void this.#showNews(leg, channel)
    return undefined
  }

  async #showNews(leg: AttachedLeg, channel: number): Promise<void> {
    await this.#ports.refresh(leg.sessionId)
    if (liveReceiver(leg.attached.session, channel)?.state === 'approved') leg.wakeChannel(channel)
  }
}
