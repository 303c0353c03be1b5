import { Windows, type WindowsSettings } from '../channel/windows.ts'
import type { RelayPorts, Wake } from '../ports.ts'
import { type Authorized, authorize } from '../session/authorize.ts'
import type { Party } from '../session/session.ts'
import { LiveSession, type LiveSessionPorts } from './live-session.ts'

/** Names the node of a relay that is alone. */
const ONLY_NODE = 'here'

/** The sessions that this node has something of, and the news of them. */
export class RelayNode {
  readonly ports: LiveSessionPorts & { readonly nodeId: string }
  readonly windows: Windows
  isDraining = false
  readonly #sessions = new Map<string, LiveSession>()

  constructor(ports: RelayPorts, settings: WindowsSettings) {
    const { windowBytes, maxFrameBytes } = settings
    this.windows = new Windows(settings, ({ sessionId, channel }, how) => {
      void this.#sessions.get(sessionId)?.changeWindows(channel, how)
    })
    const { cluster } = ports
    const nodeId = cluster?.node ?? ONLY_NODE
    this.ports = { ...ports, cluster, windows: this.windows, windowBytes, maxFrameBytes, nodeId }
    ports.bus.subscribe({
      woken: (sessionId, wake, here) => this.#woken(sessionId, wake, here),
      missed: () => this.look(),
    })
  }

  /** The live session of this id, kept from now on until nothing is left of it. */
  keep(sessionId: string): LiveSession {
    const live = this.peek(sessionId)
    this.#sessions.set(sessionId, live)
    return live
  }

  /** The live session of this id as it is now, which is not kept where there is nothing of it yet. */
  peek(sessionId: string): LiveSession {
    return this.#sessions.get(sessionId) ?? new LiveSession(sessionId, this.ports, this.#sessions)
  }

  /** Finds whose token this is. RelayError as `authorize`. */
  async authorize(sessionId: string, token: string, role?: Party['role']): Promise<Authorized> {
    const session = await this.ports.sessions.get(sessionId)
    return authorize(session, this.ports.secrets.digest(token), role)
  }

  /** Reports whether this node grants the windows of a session: alone it does, of several each that has a link of it. */
  grantsFor(sessionId: string): boolean {
    return this.ports.cluster === undefined || (this.#sessions.get(sessionId)?.links.length ?? 0) > 0
  }

  /** Counts links, and the sessions that polls are held for. */
  get counts(): { readonly links: number; readonly watchers: number } {
    let [links, watchers] = [0, 0]
    for (const live of this.#sessions.values()) {
      links += live.links.length
      if (live.polls.length > 0) watchers++
    }
    return { links, watchers }
  }

  /** Bytes of the frames of a session that came on this node, as long as it has somebody of it. */
  bytesOf(sessionId: string): number {
    return this.#sessions.get(sessionId)?.channels.bytes ?? 0
  }

  /** Counts sessions that this node has somebody of, and their receivers by state. */
  get known(): { readonly sessions: number; readonly pending: number; readonly approved: number } {
    let [pending, approved] = [0, 0]
    for (const { value: { receivers } = { receivers: [] } } of this.#sessions.values()) {
      pending += receivers.filter(({ state }) => state === 'pending').length
      approved += receivers.filter(({ state }) => state === 'approved').length
    }
    return { sessions: this.#sessions.size, pending, approved }
  }

  /** Reports whether a role that is attached over HTTP asks this node. */
  get isAsked(): boolean {
    const now = this.ports.clock.now()
    for (const { askedUntil } of this.#sessions.values()) if (askedUntil > now) return true
    return false
  }

  /** Looks again at every session that somebody on this node looks at. */
  look(): void {
    for (const live of this.#sessions.values()) if (isWatched(live)) void live.look()
  }

  /** To be called about once a second. */
  tick(): void {
    const now = this.ports.clock.now()
    for (const live of this.#sessions.values()) live.tick(now)
  }

  /** Ends what dies with this node: sessions that nobody else knows, and all links. */
  async drain(): Promise<void> {
    const now = this.ports.clock.now()
    const asked = [...this.#sessions.values()].filter((live) => isWatched(live) || live.askedUntil > now)
    await Promise.all(asked.map((live) => (this.ports.cluster ? live.leave() : live.shutDown())))
  }

  #woken(sessionId: string, wake: Wake, here: boolean): void {
    const live = this.#sessions.get(sessionId)
    switch (wake.about) {
      case 'session':
        if (here || (live && isWatched(live))) void this.keep(sessionId).refresh(here)
        return
      case 'frames':
        return live?.wakeReader(wake.channel, wake.direction)
      case 'ack':
        return live?.passAck(wake.channel, wake.direction, wake.seq)
      default:
        return wake satisfies never
    }
  }
}

/** Reports whether somebody waits for news of a session. */
function isWatched({ links, polls }: LiveSession): boolean {
  return links.length > 0 || polls.length > 0
}
