import { ATTACH_MAX_BYTES, POLL_LEASE_MS } from '../../protocol/limits.ts'
import { Attach, type AttachedChannels } from '../../protocol/requests.ts'
import { parseJson, utf8Length } from '../../protocol/text.ts'
import type { AttachedView } from '../../protocol/view.ts'
import type { ChannelEnd } from '../channel/channel-end.ts'
import { RelayError } from '../errors.ts'
import type { Bytes } from '../pieces.ts'
import type { PeerSocket } from '../ports.ts'
import { expireIfDue } from '../session/changes.ts'
import { channelsOf } from '../session/channel-state.ts'
import { attach } from '../session/presence.ts'
import {
  type Arrival,
  attachNameOf,
  isFirstAttach,
  type Party,
  presenceOf,
  SENDER,
  type Session,
} from '../session/session.ts'
import { Connection, type ConnectionPorts } from './connection.ts'
import { Link } from './link.ts'
import type { LiveSession } from './live-session.ts'
import type { RelayNode } from './node.ts'

/** How a role attaches, with a socket or over HTTP, and where its channels resume. */
export class Attaching {
  readonly #node: RelayNode
  /** Sockets whose first frame has not attached them yet. */
  readonly #opening = new Set<Connection>()
  readonly #connectionPorts: ConnectionPorts

  constructor(node: RelayNode) {
    this.#node = node
    const { clock, diagnostics, maxFrameBytes } = node.ports
    const attach = (connection: Connection, data: string | Bytes) => this.#attach(connection, data)
    this.#connectionPorts = { attach, opening: this.#opening, clock, diagnostics, maxFrameBytes }
  }

  /** Sockets that have not attached. */
  get size(): number {
    return this.#opening.size
  }

  /** Takes a socket that has opened. Feed it to the connection that comes back. */
  connect(sessionId: string, socket: PeerSocket): Connection {
    const connection = new Connection(sessionId, socket, this.#connectionPorts)
    if (this.#node.isDraining) connection.close('going_away')
    return connection
  }

  /** Attaches a role that cannot hold a socket, and gives its first view and a name for its attach. */
  async overHttp(sessionId: string, token: string, claims: AttachedChannels): Promise<AttachedView> {
    const { clock, bus } = this.#node.ports
    const { party } = await this.#node.authorize(sessionId, token)
    const session = await this.#enter(sessionId, party, (now) => {
      if (this.#node.isDraining) throw new RelayError('going_away')
      return { via: 'http', until: now + POLL_LEASE_MS }
    })
    const live = this.#node.keep(sessionId)
    live.askedUntil = clock.now() + POLL_LEASE_MS
    await live.channels.settle(session)
    await resume(live, session, party, claims, (channel) => live.channels.endOf(session, party, channel))
    // Its older socket is superseded, the other end's may have to move.
    bus.wake(sessionId, { about: 'session' })
    const { rows } = await live.channels.rows(session, live.channels.endsOf(session, party), true)
    return { ...live.viewOf(session, party, rows), attachment: attachNameOf(session, party) }
  }

  /** To be called about once a second. */
  tick(now: number): void {
    for (const connection of this.#opening) connection.tick(now)
  }

  drain(): void {
    for (const connection of this.#opening) connection.close('going_away')
  }

  /** Takes the first frame of a socket. RelayError for one that closes it. */
  async #attach(connection: Connection, data: string | Bytes): Promise<void> {
    const { sessionId, socket } = connection
    const { bus, nodeId } = this.#node.ports
    const { token, channels } = parseAttach(data)
    const { party } = await this.#node.authorize(sessionId, token)
    const session = await this.#enter(sessionId, party, () => ({ via: 'socket', node: nodeId }))
    const generation = presenceOf(session, party)?.generation ?? 0
    const live = this.#node.keep(sessionId)
    if (connection.isClosed) return live.detach({ party, generation })
    const link = new Link(party, generation, socket, live)
    const older = live.linkOf(party)
    // The older one may have attached later, though the store answered it earlier.
    if (older && generation > 0 && older.generation > generation) throw new RelayError('superseded')
    // First this one is there, so that the channels are not abandoned in between.
    live.add(link, session)
    connection.become(live, link)
    if (older) live.close(older, 'superseded')
    await live.channels.settle(session)
    const ends = await resume(live, session, party, channels, (channel) => link.use(session, channel))
    for (const { channel } of ends) link.wakeChannel(channel)
    link.isResumed = true
    if (link.closed) await live.abandon()
    bus.wake(sessionId, { about: 'session' })
  }

  #enter(sessionId: string, party: Party, arrival: (now: number) => Arrival): Promise<Session> {
    return this.#node.ports.sessions.update(sessionId, (current, now) => {
      const settled = expireIfDue(current, now)
      return settled.state === 'closed' ? settled : attach(settled, party, arrival(now), now)
    })
  }
}

function parseAttach(data: string | Bytes): Attach {
  if ((typeof data === 'string' ? utf8Length(data) : data.length) > ATTACH_MAX_BYTES)
    throw new RelayError('frame_too_large')
  const message = typeof data === 'string' ? Attach.safeParse(parseJson(data)) : undefined
  if (!message?.success) throw new RelayError('invalid_frame')
  return message.data
}

/** Opens a role's channels where its client says that it is: both sides resume there. */
async function resume(
  live: LiveSession,
  session: Session,
  party: Party,
  claims: AttachedChannels,
  endOf: (channel: number) => ChannelEnd,
): Promise<readonly ChannelEnd[]> {
  const claimed = new Map(claims.map((each) => [each.channel, each]))
  const ends: ChannelEnd[] = []
  for (const channel of channelsOf(session, party)) {
    const end = endOf(channel)
    const { received = 0, acked: known = 0 } = claimed.get(channel) ?? {}
    const acked = isFirstAttach(session, party) ? 0 : known
    const opened = await live.channels.open(end, session, { received, acked })
    const peer = live.linkOf(party.role === 'sender' ? { role: 'receiver', channel } : SENDER)
    // The relay had forgotten this channel: a peer that was on it there must resume too. A channel that has moved was not
    // forgotten, and the peer follows it.
    if (opened.forgotten && peer && peer.ends.get(channel)?.isShared === end.isShared)
      live.close(peer, 'resume_required')
    else live.acked(end, opened.acked)
    ends.push(end)
  }
  return ends
}
