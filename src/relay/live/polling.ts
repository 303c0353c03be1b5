import { LONG_POLL_MAX_MS, POLL_LEASE_MS } from '../../protocol/limits.ts'
import type { AttachedChannels } from '../../protocol/requests.ts'
import type { AttachedView, ChannelRow, View } from '../../protocol/view.ts'
import type { Channels } from '../channel/channels.ts'
import { RelayError } from '../errors.ts'
import { type Bus, type Clock, type Cluster, livingIn, type Secrets, type SessionStore } from '../ports.ts'
import { authorize, requireCurrent } from '../session/authorize.ts'
import { expireIfDue } from '../session/changes.ts'
import { attach, stayAttached } from '../session/presence.ts'
import { attachedOf, attachmentOf, type Holder, OVER_HTTP, type Session } from '../session/session.ts'
import { versionOf, viewOf } from '../session/view.ts'
import type { Attachments } from './attachments.ts'

export interface PollingPorts {
  readonly sessions: SessionStore
  readonly secrets: Secrets
  readonly clock: Clock
  readonly bus: Bus
  readonly cluster: Cluster | undefined
  readonly channels: Channels
  readonly attachments: Attachments
}

/** What the caller knows. The answer is held while all of it is current. */
export interface Poll {
  readonly version: string | undefined
  readonly waitMs: number
  /** Which attach over HTTP the caller goes by. */
  readonly attachment?: string | undefined
  /** One attached over HTTP: the last frame it has fetched of each channel, and the last of its own that it knows to be acked. */
  readonly channels?:
    | readonly { readonly channel: number; readonly fetched: number; readonly acked: number }[]
    | undefined
}

/** Views for who asks for them, over HTTP. */
export class Polling {
  readonly #ports: PollingPorts
  readonly #held = new Set<{ readonly until: number; readonly release: () => void }>()
  /** Until when somebody counts as there who is attached over HTTP and asks this node, by session, the latest at the end. */
  readonly #asking = new Map<string, number>()
  #draining = false

  constructor(ports: PollingPorts) {
    this.#ports = ports
  }

  /** The caller's view, held while what it knows is current, at most `waitMs`, then the same view again. */
  async view(sessionId: string, token: string, poll: Poll): Promise<View> {
    const { clock } = this.#ports
    const until = clock.now() + Math.min(poll.waitMs, LONG_POLL_MAX_MS)
    for (;;) {
      // Watched before it is read, so that no change falls in between.
      const change = this.#watch(sessionId, until)
      try {
        const { session, holder } = await authorize(this.#ports, sessionId, token)
        const settled = expireIfDue(session, clock.now())
        requireCurrent({ session: settled, holder }, poll.attachment)
        if (poll.channels) await this.#stay(settled, holder)
        const { rows, isWhole } = await this.#ports.channels.rows(settled, holder, poll.channels !== undefined)
        // A channel that has ended meanwhile would seem to have lost its frames.
        if (!isWhole && !(await this.#isStill(session))) continue
        const now = clock.now()
        const version = versionOf(settled, this.#ports.channels.windowsVersionOf(settled))
        const current = version === poll.version && settled.state === 'open' && !isNews(rows, poll)
        if (!current || now >= until || this.#draining) return this.#viewOf(settled, holder, rows, now)
        await change.happened
      } finally {
        change.release()
      }
    }
  }

  /** Attaches a role that cannot hold a socket, as the attach of a socket does, and gives its first view and a name for it. */
  async attach(sessionId: string, token: string, claims: AttachedChannels): Promise<AttachedView> {
    const { sessions, clock, bus, attachments, channels } = this.#ports
    const { holder } = await authorize(this.#ports, sessionId, token)
    const session = await sessions.update(sessionId, (current, now) => {
      const settled = expireIfDue(current, now)
      if (settled.state === 'closed') return settled
      if (this.#draining) throw new RelayError('going_away')
      return attach(settled, holder, { place: OVER_HTTP, until: now + POLL_LEASE_MS }, now)
    })
    this.#ask(session)
    channels.settle(session)
    await attachments.attaching.resume(session, holder, claims)
    // Its older socket is superseded, the other end's may have to move.
    bus.wake(sessionId, { about: 'session' })
    const { rows } = await channels.rows(session, holder, true)
    return { ...this.#viewOf(session, holder, rows, clock.now()), attachment: attachmentOf(session, holder) }
  }

  /** Sessions that somebody is attached to over HTTP and asks this node for, whether a poll is held now or not. */
  get sessionIds(): readonly string[] {
    return [...this.#asking.keys()]
  }

  /** To be called about once a second. */
  tick(): void {
    const now = this.#ports.clock.now()
    for (const held of this.#held) if (held.until <= now) held.release()
    for (const [sessionId, until] of this.#asking) {
      if (until > now) break
      this.#asking.delete(sessionId)
    }
  }

  drain(): void {
    this.#draining = true
    // Of several nodes another goes on, and there is no end to be told of.
    if (this.#ports.cluster) this.#asking.clear()
    for (const held of this.#held) held.release()
  }

  async #stay(session: Session, holder: Holder): Promise<void> {
    const { sessions, clock, bus } = this.#ports
    if (attachedOf(session, holder)?.until === undefined) return
    this.#ask(session)
    const renewed = stayAttached(session, holder, clock.now())
    if (renewed === session) return
    const { version } = await sessions.update(session.id, (current, now) => stayAttached(current, holder, now))
    if (version !== session.version) bus.wake(session.id, { about: 'session' })
  }

  async #isStill({ id, version }: Session): Promise<boolean> {
    return (await this.#ports.sessions.get(id))?.version === version
  }

  #ask({ id }: Session): void {
    this.#asking.delete(id)
    this.#asking.set(id, this.#ports.clock.now() + POLL_LEASE_MS)
  }

  #viewOf(session: Session, holder: Holder, channels: readonly ChannelRow[], now: number): View {
    const windowsVersion = this.#ports.channels.windowsVersionOf(session)
    return viewOf(session, holder, { channels, windowsVersion, now, isAlive: livingIn(this.#ports.cluster) })
  }

  /** Resolves with the session's next change, or at `until`. */
  #watch(sessionId: string, until: number): { readonly happened: Promise<void>; readonly release: () => void } {
    let release = () => {}
    const happened = new Promise<void>((resolve) => {
      release = () => {
        unwatch()
        this.#held.delete(held)
        resolve()
      }
      const held = { until, release }
      const unwatch = this.#ports.attachments.watchers.watch(sessionId, release)
      this.#held.add(held)
    })
    return { happened, release }
  }
}

/** Whether there is something to fetch, or an ack, that the caller does not know. */
function isNews(rows: readonly ChannelRow[], { channels = [] }: Poll): boolean {
  const known = new Map(channels.map((each) => [each.channel, each]))
  return rows.some(({ channel, acked, available = 0 }) => {
    const mine = known.get(channel)
    return mine !== undefined && (acked > mine.acked || available > mine.fetched)
  })
}
