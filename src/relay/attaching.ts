import { parseJson, utf8Length } from '../protocol/codec.ts'
import { ATTACH_MAX_BYTES } from '../protocol/limits.ts'
import type { AttachedChannels } from '../protocol/requests.ts'
import { Attach } from '../protocol/requests.ts'
import type { Channels } from './channels.ts'
import { RelayError } from './error.ts'
import type { AttachedLeg, Attachment, Leg } from './leg.ts'
import type { Legs } from './legs.ts'
import type { Direction, MailboxStore, Secrets, SessionStore } from './ports.ts'
import { attachedOf, type Holder, holderOf, type Session } from './session.ts'
import { attach, expireIfDue } from './transitions.ts'
import { channelsOf, inbound } from './view.ts'

export interface AttachingPorts {
  readonly sessions: SessionStore
  readonly secrets: Secrets
  readonly channels: Channels
  readonly legs: Legs
  /** Where the sockets of this node are, as the session says it. */
  readonly place: string
  close(leg: Leg, code: 'superseded' | 'going_away' | 'session_not_found'): void
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
    const attached = { sessionId, holder, generation, session, mailboxes: undefined, resumed: false, shown: undefined }
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
    const resumed = await this.resume(session, holder, channels, (channel) => this.#mustGrant(session, channel))
    for (const { channel, mailboxes, readAfter } of resumed) this.#open(attachedLeg, channel, mailboxes, readAfter)
    attachedLeg.attached.resumed = true
    return attachedLeg
  }

  /** Opens a role's channels where its client says that it is: what both sides lack goes on from there. */
  async resume(
    session: Session,
    holder: Holder,
    claims: AttachedChannels,
    before: (channel: number) => void = () => {},
  ): Promise<{ readonly channel: number; readonly mailboxes: MailboxStore; readonly readAfter: number }[]> {
    const { channels, legs, acked, close } = this.#ports
    const claimed = new Map(claims.map((each) => [each.channel, each]))
    const resumed = []
    for (const channel of channelsOf(session, holder)) {
      before(channel)
      const claim = claimed.get(channel) ?? { received: 0, acked: 0 }
      const { mailboxes, forgotten, into } = await channels.open(session, holder, channel, claim)
      const peer = legs.peerOf(session.id, holder, channel)
      // The relay had forgotten this channel, so the peer's socket, if it was on it, must resume as well.
      if (forgotten && peer?.attached.mailboxes?.has(channel)) close(peer, 'going_away')
      else acked(session, channel, inbound(holder), into.acked)
      resumed.push({ channel, mailboxes, readAfter: Math.max(claim.received, into.acked) })
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
    if (session.state === 'closed') return leg.end(session.reason === 'shutting_down' ? 'going_away' : 'session_gone')
    const current = attachedOf(session, attached.holder)?.generation ?? 0
    if (current > attached.generation) return close(leg, 'superseded')
    // Until its channels are open there is no first view: it would say the wrong place to resume at.
    if (!attached.resumed) return
    for (const channel of channelsOf(session, attached.holder)) {
      const followed = await this.#follow(leg, session, channel)
      if (!followed) return close(leg, 'going_away')
    }
    if (attached.shown === session.version || leg.closed) return
    attached.shown = session.version
    await leg.showView()
  }

  /** Opens a channel that is new, or has moved before anything was sent on it. False when it has moved after that. */
  async #follow(leg: AttachedLeg, session: Session, channel: number): Promise<boolean> {
    const { channels } = this.#ports
    this.#mustGrant(session, channel)
    const open = leg.attached.mailboxes?.get(channel)
    if (open === channels.storeOf(session, channel)) return true
    if (open && !(await channels.isBlank(session.id, channel))) return false
    const nothing = { received: 0, acked: 0 }
    const { mailboxes, into } = await channels.open(session, leg.attached.holder, channel, nothing)
    this.#open(leg, channel, mailboxes, into.acked)
    return true
  }

  #open(leg: AttachedLeg, channel: number, mailboxes: MailboxStore, readAfter: number): void {
    leg.attached.mailboxes ??= new Map()
    leg.attached.mailboxes.set(channel, mailboxes)
    leg.startAfter(channel, readAfter)
    leg.wakeChannel(channel)
  }

  #mustGrant(session: Session, channel: number): void {
    if (!this.#ports.channels.grant(session, channel)) throw new RelayError('unavailable')
  }
}
