import type { CloseErrorCode } from '../../protocol/errors.ts'
import { FRAME_HEADER_BYTES, SILENCE_MS } from '../../protocol/limits.ts'
import type { ChannelRow, View } from '../../protocol/view.ts'
import { type Awaitable, after } from '../awaitable.ts'
import { type ChannelEnd, isFinal, isKept, type Kept, type Outcome } from '../channel/channel-end.ts'
import { Channels, type ChannelsPorts } from '../channel/channels.ts'
import { inbound, outbound, readerOf, writerOf } from '../channel/direction.ts'
import { closeCodeOf, RelayError } from '../errors.ts'
import type { PiecedFrame } from '../pieces.ts'
import { type Direction, livingIn, type RelayPorts, type StoredFrame } from '../ports.ts'
import { isHandshake } from '../session/channel-state.ts'
import { answer, detach } from '../session/presence.ts'
import { isSameParty, liveReceiver, type Party, type Session } from '../session/session.ts'
import { shutDown } from '../session/transitions.ts'
import { viewOf } from '../session/view.ts'
import type { HeldPoll } from './held-poll.ts'
import type { Link, LinkSource } from './link.ts'

export type LiveSessionPorts = RelayPorts & ChannelsPorts

/** Shared by the sessions that have none of something: most have one link, and wait. */
const NONE: readonly never[] = []

/** All that this node has of a session: its value as last seen, its links, its held polls, its channels. */
export class LiveSession implements LinkSource {
  readonly id: string
  links: readonly Link[] = NONE
  polls: readonly HeldPoll[] = NONE
  readonly channels: Channels
  /** Until when a role counts as there that is attached over HTTP and asks this node. */
  askedUntil = 0
  /** As last seen, and shown to every link in the same turn. A refusal reads it again first. */
  value: Session | undefined
  readonly ports: LiveSessionPorts
  /** All of this node. This one takes itself out when nothing is left of it. */
  readonly #registry: Map<string, LiveSession>
  /** Links that are gone, which the store could not be told yet. */
  #undetached: readonly Pick<Link, 'party' | 'generation'>[] = NONE
  /** Looks at the session and changes of it that are under way. */
  #busy = 0

  constructor(id: string, ports: LiveSessionPorts, registry: Map<string, LiveSession>) {
    this.id = id
    this.ports = ports
    this.#registry = registry
    this.channels = new Channels(id, ports)
  }

  /** Takes a frame that came on a link: keeps it, or acks, and has the other end hear of it. */
  offer(link: Link, frame: PiecedFrame): Awaitable<Outcome> {
    const opening = link.ends.get(frame.channel)?.opening
    if (opening) return opening.then(() => this.offer(link, frame))
    return after(this.#try(link, frame), (outcome) => (isFinal(outcome) ? outcome : this.#tryAfresh(link, frame)))
  }

  /** Another node may have changed the session: it is read again before anything is refused. */
  async #tryAfresh(link: Link, frame: PiecedFrame): Promise<Outcome> {
    await this.refresh()
    if (link.closed) return { kind: 'ended' }
    await link.ends.get(frame.channel)?.opening
    return this.#try(link, frame)
  }

  #try(link: Link, frame: PiecedFrame): Awaitable<Outcome> {
    return after(link.take(frame, this.value, this.ports.clock.now()), (outcome) => {
      const end = link.ends.get(frame.channel)
      const recording = end && isKept(outcome) ? this.kept(end, outcome, frame.bytes.length) : undefined
      // Without the record a receiver can be displaced, and nothing else is lost.
      if (recording instanceof Promise) void recording.catch((error) => this.#report(error))
      if (end && outcome.kind === 'raised') this.acked(end, frame.seq)
      return outcome
    })
  }

  /** Does what follows from a frame that is there: its reader hears of it, and an answer is recorded. */
  kept({ channel, party, isShared }: ChannelEnd, { kind, isAnswer }: Kept, bytes: number): Awaitable<unknown> {
    const direction = outbound(party)
    this.channels.count(kind, bytes)
    if (kind === 'stored') this.wakeReader(channel, direction)
    if (kind === 'stored' && isShared) this.ports.bus.wake(this.id, { about: 'frames', channel, direction })
    return isAnswer ? this.ports.sessions.update(this.id, (session) => answer(session, channel)) : undefined
  }

  /** Tells that an end has acked the frames that came for it. */
  acked({ channel, party, isShared }: ChannelEnd, seq: number): void {
    const direction = inbound(party)
    this.passAck(channel, direction, seq)
    if (isShared) this.ports.bus.wake(this.id, { about: 'ack', channel, direction, seq })
  }

  /** Has the reader of a direction look, on this node. */
  wakeReader(channel: number, direction: Direction): void {
    const reader = readerOf(channel, direction)
    this.linkOf(reader)?.wakeChannel(channel)
    this.#wakePolls(reader)
  }

  /** Passes an ack on to the writer of a direction, on this node. */
  passAck(channel: number, direction: Direction, seq: number): void {
    const writer = writerOf(channel, direction)
    this.linkOf(writer)?.passAck(channel, seq)
    this.#wakePolls(writer)
  }

  #wakePolls(party: Party): void {
    for (const poll of this.polls) if (poll.fetches && isSameParty(poll.fetches, party)) poll.wake()
  }

  /** The next frame for an end. From another node one can come before the news that allowed it: it waits until they are shown. */
  nextFrame(link: Link, end: ChannelEnd): Awaitable<StoredFrame | undefined> {
    const shown = this.value
    return after(end.next(end.readAfter ?? 0), (frame) => {
      if (!frame || isHandshake(frame.seq, frame.bytes.length - FRAME_HEADER_BYTES)) return frame
      if (!shown || liveReceiver(shown, end.channel)?.state !== 'pending') return frame
      void this.#showNews(link, end.channel)
      return undefined
    })
  }

  async #showNews(link: Link, channel: number): Promise<void> {
    await this.refresh()
    if (this.value && liveReceiver(this.value, channel)?.state === 'approved') link.wakeChannel(channel)
  }

  /** The open link of a role. */
  linkOf(party: Party): Link | undefined {
    return this.links.find((link) => !link.closed && isSameParty(link.party, party))
  }

  /** Adds a link, whose attach gave this value. Nobody is shown it before `refresh`. */
  add(link: Link, session: Session): void {
    // Unlike a spread, this makes a list of its size: there is one for each idle socket.
    this.links = this.links.concat(link)
    this.value ??= session
  }

  close(link: Link, code: CloseErrorCode): void {
    link.close(code)
    void this.remove(link)
  }

  /** Closes a link for what a frame, or a store, has failed with. */
  fail(link: Link, error: unknown): void {
    const code = closeCodeOf(error)
    if (code === 'internal') this.ports.diagnostics.failed(error)
    this.close(link, code)
  }

  #report(error: unknown): void {
    if (!(error instanceof RelayError)) this.ports.diagnostics.failed(error)
  }

  /** Forgets a link that is gone, and tells the session unless a newer one is there. */
  async remove(link: Link): Promise<void> {
    link.markClosed()
    if (!this.links.includes(link)) return
    this.links = this.links.filter((each) => each !== link)
    await this.abandon()
    await this.detach(link)
  }

  /** Gives up what no link is on any more. */
  async abandon(): Promise<void> {
    await this.channels.abandon((channel) => this.links.some(({ ends }) => ends.has(channel)))
  }

  /** Records that a role's link is gone. The tick tries again what the store could not take. */
  async detach({ party, generation }: Pick<Link, 'party' | 'generation'>): Promise<void> {
    this.#busy++
    try {
      await this.ports.sessions.update(this.id, (session, now) => detach(session, party, generation, now))
      this.ports.bus.wake(this.id, { about: 'session' })
    } catch (error) {
      if (error instanceof RelayError && error.code === 'unavailable')
        this.#undetached = [...this.#undetached, { party, generation }]
      else this.#report(error)
    }
    this.#busy--
  }

  /** Reads the session again and brings all that this node has of it in line. `here`: the change was made on this node. */
  async refresh(here = false): Promise<void> {
    const { links } = this
    this.#busy++
    try {
      const session = await this.ports.sessions.get(this.id)
      const forgetting = session && this.channels.settle(session)
      if (forgetting instanceof Promise) await forgetting
      // First every link knows what has ended, then what that had is given up.
      const aligned = this.#see(session, links)
      if (session) await this.channels.releaseEnded(session, here)
      else await this.channels.releaseAll()
      await aligned
    } catch (error) {
      for (const link of links) this.fail(link, error)
    }
    this.#busy--
    for (const poll of this.polls) poll.wake()
    this.forgetIfIdle()
  }

  /** Brings the links in line with the session as it was read, in one turn. */
  async #see(session: Session | undefined, links: readonly Link[]): Promise<void> {
    if (session && this.value && session.version < this.value.version) return
    this.value = session ?? this.value
    if (links.length > 0) await Promise.all(links.map((link) => this.#align(link, session)))
  }

  async #align(link: Link, session: Session | undefined): Promise<void> {
    try {
      const code = session ? await link.align(session) : 'session_not_found'
      if (code) this.close(link, code)
    } catch (error) {
      this.fail(link, error)
    }
    // A link that went meanwhile may have been given something after that.
    if (link.closed) await this.abandon()
  }

  /** Looks again at everything: something may have happened unheard. */
  async look(): Promise<void> {
    await this.refresh()
    for (const link of this.links) {
      for (const channel of link.ends.keys()) link.wakeChannel(channel)
      // The view has the acks in it, and who has come or gone.
      if (link.isResumed) void link.showView()
    }
  }

  /** Shows that windows changed by what happened to other channels; the frames of one that has lost its own go first. */
  async changeWindows(channel: number, how: 'gained' | 'lost'): Promise<void> {
    this.channels.changes++
    try {
      if (how === 'lost') await this.channels.forget([channel])
    } catch (error) {
      this.#report(error)
    }
    await this.refresh()
  }

  /** The view of a link. RelayError `resume_required` when a store has lost what it had. */
  async view(link: Link): Promise<View> {
    for (let tries = 1; tries <= 2; tries++) {
      const session = this.value
      const read = session && (await link.rows(session))
      if (session && read?.isWhole) return this.viewOf(session, link.party, read.rows)
      // Either a channel has ended at another node, and this one has not heard of it, or the store has lost what it had.
      if (tries === 1) void this.#see(await this.ports.sessions.get(this.id), this.links)
    }
    throw new RelayError('resume_required')
  }

  viewOf(session: Session, party: Party, channels: readonly ChannelRow[]): View {
    const { clock, cluster } = this.ports
    const windowsVersion = this.channels.version
    return viewOf(session, party, { channels, windowsVersion, now: clock.now(), isAlive: livingIn(cluster) })
  }

  /** Does what is due: what the store could not take, polls that were held long enough, pings, views after silence. */
  tick(now: number): void {
    const undetached = this.#undetached
    this.#undetached = NONE
    for (const link of undetached) void this.detach(link)
    for (const poll of this.polls) if (poll.until <= now) poll.wake()
    for (const link of this.links) {
      // See what another node changed since without being heard.
      if (now - link.lastSentAt >= SILENCE_MS) void (this.ports.cluster ? this.look() : link.showView())
      link.checkPing(now)
    }
    if (this.channels.isDue(now)) void this.refresh()
    else this.forgetIfIdle()
  }

  /** Closes the links of a node that stops; the session lives on at others. */
  async leave(): Promise<void> {
    this.askedUntil = 0
    for (const link of this.links) {
      link.close('going_away')
      await this.remove(link)
    }
    for (const poll of this.polls) poll.wake()
  }

  /** Ends the session with the only node that knows it, and shows that. */
  async shutDown(): Promise<void> {
    try {
      await this.ports.sessions.update(this.id, shutDown)
    } catch (error) {
      if (!(error instanceof RelayError)) throw error
    }
    await this.refresh()
  }

  /** Leaves the node when nothing is left of it here. */
  forgetIfIdle(): void {
    const isIdle = this.links.length + this.polls.length + this.#undetached.length + this.#busy === 0
    if (!isIdle || !this.channels.isEmpty || this.askedUntil > this.ports.clock.now()) return
    if (this.#registry.get(this.id) === this) this.#registry.delete(this.id)
  }
}
