import { ATTACH_MAX_BYTES } from '../../protocol/limits.ts'
import { Attach, type AttachedChannels } from '../../protocol/requests.ts'
import { parseJson, utf8Length } from '../../protocol/text.ts'
import type { Awaitable } from '../awaitable.ts'
import type { Channels } from '../channel/channels.ts'
import { RelayError } from '../errors.ts'
import type { Direction, Secrets, SessionStore } from '../ports.ts'
import { expireIfDue } from '../session/changes.ts'
import { attach } from '../session/presence.ts'
import { attachedOf, type Holder, hasRow, holderOf, isFirstAttach, type Session } from '../session/session.ts'
import { channelsOf, inbound } from '../session/view.ts'
import type { AttachedLeg, Attachment, Leg, OpenChannel } from './leg.ts'
import type { Legs } from './legs.ts'

export interface AttachingPorts {
  readonly sessions: SessionStore
  readonly secrets: Secrets
  readonly channels: Channels
  readonly legs: Legs
  /** Where the sockets of this node are, as the session says it. */
  readonly place: string
  close(leg: Leg, code: 'superseded' | 'resume_required' | 'session_not_found' | 'unauthorized'): void
  detach(attachment: Attachment): Promise<void>
  /** Frames of this direction were acked through a seq. */
  acked(session: Session, channel: number, direction: Direction, seq: number): void
}

/** How a socket gets its role and its channels, and how it is kept in line with its session. */
export class Attaching {
  readonly #ports: AttachingPorts

  constructor(ports: AttachingPorts) {
    this.#ports = ports
  }

  /** Takes the first frame of a socket. RelayError for one that closes it; undefined when it was gone meanwhile. */
  async attach(leg: Leg, data: string | Uint8Array): Promise<AttachedLeg | undefined> {
    const { sessionId } = leg
    const { sessions, secrets, legs, place } = this.#ports
    if ((typeof data === 'string' ? utf8Length(data) : data.length) > ATTACH_MAX_BYTES)
      throw new RelayError('frame_too_large')
    const message = typeof data === 'string' ? Attach.safeParse(parseJson(data)) : undefined
    if (!message?.success) throw new RelayError('invalid_frame')
    const { token, channels } = message.data
    const before = await sessions.get(sessionId)
    if (!before) throw new RelayError('session_not_found')
    const holder = holderOf(before, secrets.digest(token))
    if (!holder) throw new RelayError('unauthorized')
    const session = await sessions.update(sessionId, (current, now) => {
      const settled = expireIfDue(current, now)
      return settled.state === 'closed' ? settled : attach(settled, holder, { place }, now)
    })
    const generation = attachedOf(session, holder)?.generation ?? 0
    const attached: Attachment = {
      sessionId,
      holder,
      generation,
      session,
      channels: undefined,
      resumed: false,
      shown: undefined,
    }
    if (leg.closed) {
      await this.#ports.detach(attached)
      return undefined
    }
    const attachedLeg = Object.assign(leg, { attached })
    const older = legs.holding(sessionId, holder)
    // It may have attached later, though the store answered it earlier.
    if (older && generation > 0 && older.attached.generation > generation) throw new RelayError('superseded')
    // First this one is there, so that the channels are not abandoned in between.
    legs.add(attachedLeg)
    if (older) this.#ports.close(older, 'superseded')
    this.#ports.channels.settle(session)
    const resumed = await this.resume(
      session,
      holder,
      channels,
      (channel) => void this.#take(attachedLeg, session, channel),
    )
    for (const { channel, received, readAfter } of resumed) this.#begin(attachedLeg, channel, received, readAfter)
    attachedLeg.attached.resumed = true
    return attachedLeg
  }

  /** Opens a role's channels where its client says that it is: what both sides lack goes on from there. */
  async resume(
    session: Session,
    holder: Holder,
    claims: AttachedChannels,
    before: (channel: number) => void = () => {},
  ): Promise<{ readonly channel: number; readonly received: number; readonly readAfter: number }[]> {
    const { channels, legs, acked, close } = this.#ports
    const claimed = new Map(claims.map((each) => [each.channel, each]))
    const resumed = []
    for (const channel of channelsOf(session, holder)) {
      before(channel)
      const { received = 0, acked: known = 0 } = claimed.get(channel) ?? {}
      const claim = { received, acked: isFirstAttach(session, holder) ? 0 : known }
      const { forgotten, into, out } = await channels.open(session, holder, channel, claim)
      const peer = legs.peerOf(session.id, holder, channel)
      const peerOn = peer?.attached.channels?.get(channel)?.mailboxes
      // The relay had forgotten this channel, so the peer's socket, if it was on it there, must resume as well. A channel that
      // has moved was not forgotten: the peer follows it.
      if (forgotten && peer && peerOn === channels.storeOf(session, channel)) close(peer, 'resume_required')
      else acked(session, channel, inbound(holder), into.acked)
      resumed.push({ channel, received: out.received, readAfter: Math.max(claim.received, into.acked) })
    }
    return resumed
  }

  /** Brings an attached socket in line with its session as it is now. */
  async align(leg: AttachedLeg, session: Session | undefined): Promise<void> {
    const { attached } = leg
    const { close } = this.#ports
    if (!session) return close(leg, 'session_not_found')
    if (session.version < attached.session.version) return
    attached.session = session
    const { holder } = attached
    // A row that made way for others takes its token along.
    if (holder.role === 'receiver' && !hasRow(session, holder.channel)) return close(leg, 'unauthorized')
    if (session.state === 'closed') return leg.end(session.reason === 'shutting_down' ? 'going_away' : 'session_gone')
    const current = attachedOf(session, attached.holder)?.generation ?? 0
    if (current > attached.generation) return close(leg, 'superseded')
    // Until its channels are open there is no first view: it would say the wrong place to resume at.
    if (!attached.resumed) return
    for (const channel of channelsOf(session, attached.holder)) {
      const followed = this.#follow(leg, session, channel)
      // In one turn, unless a channel has to be opened: an approval is due to be shown before anybody can use it.
      if (!(followed instanceof Promise ? await followed : followed)) return close(leg, 'resume_required')
    }
    if (attached.shown === session.version || leg.closed) return
    attached.shown = session.version
    await leg.showView()
  }

  /** Opens a channel that is new, or has moved before anything was sent on it. False when it has moved after that. */
  #follow(leg: AttachedLeg, session: Session, channel: number): Awaitable<boolean> {
    if (leg.attached.channels?.get(channel)?.mailboxes !== this.#ports.channels.storeOf(session, channel)) {
      return this.#move(leg, session, channel)
    }
    return true
  }

  async #move(leg: AttachedLeg, session: Session, channel: number): Promise<boolean> {
    const { channels } = this.#ports
    if (leg.attached.channels?.has(channel) && !(await channels.isBlank(session.id, channel))) return false
    const opened = this.#take(leg, session, channel)
    opened.opening = channels
      .open(session, leg.attached.holder, channel, { received: 0, acked: 0 })
      .then(({ into, out }) => this.#begin(leg, channel, out.received, into.acked))
    try {
      await opened.opening
    } finally {
      opened.opening = undefined
    }
    return true
  }

  /** Says that this socket uses a channel, before anything is waited for: what it uses is not given up meanwhile. */
  #take(leg: AttachedLeg, session: Session, channel: number): OpenChannel {
    this.#ports.channels.enter(session, channel)
    const taken = { mailboxes: this.#ports.channels.storeOf(session, channel), received: 0 }
    leg.attached.channels ??= new Map()
    leg.attached.channels.set(channel, taken)
    return taken
  }

  #begin(leg: AttachedLeg, channel: number, received: number, readAfter: number): void {
    const open = leg.attached.channels?.get(channel)
    if (open) open.received = Math.max(open.received, received)
    // Two looks at the session may both have opened it: what was read stays read.
    if (!leg.reads(channel)) leg.startAfter(channel, readAfter)
    leg.wakeChannel(channel)
  }
}
