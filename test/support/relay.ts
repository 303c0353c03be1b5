import type { CreateSessionRequest, JoinRequest } from '../../src/protocol/requests.ts'
import type { View } from '../../src/protocol/view.ts'
import type {
  Bus,
  BusListener,
  Clock,
  Cluster,
  Discard,
  MailboxStore,
  Secrets,
  SessionStore,
} from '../../src/relay/ports.ts'
import { Relay, type RelaySettings } from '../../src/relay/relay.ts'
import { readConfig } from '../../src/server/config.ts'
import { MemoryBus } from '../../src/store/memory/bus.ts'
import { MemoryMailboxStore } from '../../src/store/memory/mailboxes.ts'
import { MemorySessionStore } from '../../src/store/memory/sessions.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeSecrets } from './fake-secrets.ts'
import { FakeSocket } from './fake-socket.ts'

/** The defaults but for this: all the devices of a test have one address. */
export const DEFAULT_SETTINGS: RelaySettings = readConfig({ RATE_LIMIT: 'off' })

/** Frames of 4 KiB, windows of eight, a budget of 1 MiB: bounds a test can reach without effort. */
export const SMALL_SETTINGS: RelaySettings = {
  ...DEFAULT_SETTINGS,
  maxFrameBytes: 4096,
  windowBytes: 8 * 4096,
  memoryBudgetBytes: 1024 * 1024,
  limitAddresses: true,
}

/** Everything a relay holds. All of it is 0 when nothing is left of any session. */
export interface Counters {
  /** Sessions, epitaphs included. */
  readonly sessions: number
  /** Entries of every index of the session store. */
  readonly storeEntries: number
  readonly mailboxes: number
  /** Cost of the frames in the mailboxes. */
  readonly unackedBytes: number
  readonly grantedBytes: number
  readonly grants: number
  /** Sockets the domain knows, attached or not. */
  readonly sockets: number
  /** Sessions that long polls wait for. */
  readonly watchers: number
}

export const NOTHING_LEFT: Counters = {
  sessions: 0,
  storeEntries: 0,
  mailboxes: 0,
  unackedBytes: 0,
  grantedBytes: 0,
  grants: 0,
  sockets: 0,
  watchers: 0,
}

export interface RelayOptions {
  /** Changes to SMALL_SETTINGS. */
  readonly settings?: Partial<RelaySettings>
  readonly clock?: Clock
  readonly secrets?: Secrets
  /** Digests a client address. Returns the address itself, unless a test looks at it. */
  readonly digestAddress?: (clientAddress: string) => string
  /** Puts something between the relay and its store of sessions. */
  readonly wrapSessions?: (store: SessionStore) => SessionStore
  readonly wrapMailboxes?: (store: MailboxStore) => MailboxStore
  /** Makes it a node of several. */
  readonly cluster?: Cluster
  readonly bus?: Bus
  readonly onDiscard?: (reason: Discard) => void
  readonly onFailure?: (error: unknown) => void
}

export interface BuiltRelay {
  readonly relay: Relay
  readonly sessions: MemorySessionStore
  readonly mailboxes: MemoryMailboxStore
  readonly counters: () => Counters
  /** Listeners of the bus. */
  readonly ears: BusListener
}

/** State of a node besides the sessions that it may share. */
export function nodeCounters(relay: Relay, mailboxes: MemoryMailboxStore): Counters {
  return {
    ...NOTHING_LEFT,
    mailboxes: mailboxes.size,
    unackedBytes: mailboxes.unackedCost,
    ...relay.counts,
  }
}

/** A relay on memory stores. `server.ts` puts HTTP around one, `TestRelay` a test. */
export function buildRelay(clock: Clock, secrets: Secrets, options: RelayOptions = {}): BuiltRelay {
  const sessions = new MemorySessionStore(clock)
  const mailboxes = new MemoryMailboxStore()
  const bus = options.bus ?? new MemoryBus()
  const ears: BusListener[] = []
  const relay = new Relay(
    {
      sessions: options.wrapSessions?.(sessions) ?? sessions,
      mailboxes: options.wrapMailboxes?.(mailboxes) ?? mailboxes,
      bus: {
        wake: (sessionId, wake) => bus.wake(sessionId, wake),
        subscribe: (listener) => {
          ears.push(listener)
          bus.subscribe(listener)
        },
      },
      ...(options.cluster ? { cluster: options.cluster } : {}),
      clock,
      secrets,
      digestAddress: options.digestAddress ?? ((clientAddress) => clientAddress),
      diagnostics: {
        relayed: () => {},
        discarded: (reason) => options.onDiscard?.(reason),
        failed: (error) => options.onFailure?.(error),
      },
    },
    { ...SMALL_SETTINGS, ...options.settings },
  )
  const counters = () => ({
    ...nodeCounters(relay, mailboxes),
    sessions: sessions.size,
    storeEntries: sessions.entries,
  })
  return { relay, sessions, mailboxes, counters, ears: ears[0] as BusListener }
}

/** A role of a session a test has made. */
export interface Member {
  readonly sessionId: string
  readonly token: string
}

export interface JoinedReceiver extends Member {
  readonly receiverCode: string
  readonly channel: number
}

type TestRelayOptions = Omit<RelayOptions, 'clock' | 'secrets' | 'onDiscard' | 'onFailure'>

/** A relay with a clock of its own, and short ways to say what tests say often. */
export class TestRelay {
  readonly clock: FakeClock
  readonly relay: Relay
  readonly sessions: MemorySessionStore
  readonly mailboxes: MemoryMailboxStore
  readonly counters: () => Counters
  readonly ears: BusListener
  /** Discards so far, in order. */
  readonly discards: Discard[] = []
  /** Failures that no client caused. */
  readonly failures: unknown[] = []
  #made = 0

  constructor(options: TestRelayOptions = {}, clock = new FakeClock(), secrets = new FakeSecrets()) {
    this.clock = clock
    const built = buildRelay(clock, secrets, {
      ...options,
      onDiscard: (reason) => this.discards.push(reason),
      onFailure: (error) => this.failures.push(error),
    })
    this.relay = built.relay
    this.sessions = built.sessions
    this.mailboxes = built.mailboxes
    this.counters = built.counters
    this.ears = built.ears
  }

  /** Registers a sender code nobody has used. */
  async open(
    request: Partial<CreateSessionRequest> = {},
    source = `source-${this.#made + 1}`,
  ): Promise<Member & { readonly senderCode: string }> {
    const senderCode = request.senderCode ?? `sender-${++this.#made}`
    const { sessionId, token } = await this.relay.createSession(
      { clientId: 'a client', senderCode, maxReceivers: 8, ...request },
      source,
    )
    return { sessionId, token, senderCode }
  }

  /** Adds a receiver with a code nobody has used, from an address nobody has used unless one is given. */
  async join(
    senderCode: string,
    request: Partial<JoinRequest> = {},
    source = `source-${this.#made + 1}`,
  ): Promise<JoinedReceiver> {
    const receiverCode = request.receiverCode ?? `receiver-${++this.#made}`
    const body = { publicKey: publicKey(this.#made), ...request, senderCode, receiverCode }
    const joined = await this.relay.join(body, source)
    return { sessionId: joined.sessionId, token: joined.token, channel: joined.channel, receiverCode }
  }

  approve(sender: Member, receiver: { readonly receiverCode: string }): Promise<void> {
    return this.relay.decide(sender.sessionId, sender.token, receiver.receiverCode, { decision: 'approved' })
  }

  /** Ends the receiver by the word of whoever the token belongs to. */
  end(by: Member, receiver: { readonly receiverCode: string }): Promise<void> {
    return this.relay.endReceiver(by.sessionId, by.token, receiver.receiverCode)
  }

  close(sender: Member): Promise<void> {
    return this.relay.closeSession(sender.sessionId, sender.token)
  }

  view(member: Member): Promise<View> {
    return this.relay.view(member.sessionId, member.token, { version: undefined, waitMs: 0 })
  }

  /** Has this node look at a session, as news from another node do. */
  look(sessionId: string): void {
    this.ears.woken(sessionId, { about: 'session' }, false)
  }

  /** A socket that has said nothing yet. */
  connect(sessionId: string): FakeSocket {
    return new FakeSocket(this.relay, sessionId)
  }

  /** A socket that has attached and seen its first view, unless it was refused. */
  async attach(member: Member, channels?: Parameters<FakeSocket['attach']>[1]): Promise<FakeSocket> {
    const socket = this.connect(member.sessionId)
    socket.attach(member.token, channels)
    await settled()
    return socket
  }

  /** A session with so many approved receivers, and everybody attached. Of the receivers the first is also at hand by itself. */
  async pair(receivers = 1, request: Partial<CreateSessionRequest> = {}) {
    const sender = await this.open(request)
    const joined: JoinedReceiver[] = []
    for (let i = 0; i < receivers; i++) {
      const receiver = await this.join(sender.senderCode)
      await this.approve(sender, receiver)
      joined.push(receiver)
    }
    const senderSocket = await this.attach(sender)
    const receiverSockets: FakeSocket[] = []
    for (const receiver of joined) receiverSockets.push(await this.attach(receiver))
    const [receiver, receiverSocket] = [joined[0] as JoinedReceiver, receiverSockets[0] as FakeSocket]
    return { sender, receivers: joined, receiver, senderSocket, receiverSockets, receiverSocket }
  }

  /** Lets time pass as a running relay would: a tick a second. */
  async pass(milliseconds: number): Promise<void> {
    const end = this.clock.now() + milliseconds
    while (this.clock.now() + 1_000 < end) {
      this.clock.advance(1_000)
      await this.tick()
    }
    this.clock.set(end)
    await this.tick()
  }

  /** Ticks, and waits for everything that follows. */
  async tick(): Promise<void> {
    await this.relay.tick()
    await settled()
  }
}

/** A relay with one session. */
export async function opened(request: Partial<CreateSessionRequest> = {}, options: TestRelayOptions = {}) {
  const node = new TestRelay(options)
  return { node, sender: await node.open(request) }
}

/** A relay with one session, so many approved receivers, and everybody attached. */
export async function paired(receivers = 1, options: TestRelayOptions = {}) {
  const node = new TestRelay(options)
  return { node, ...(await node.pair(receivers)) }
}

/** 32 bytes in base64url, different for every number. */
export function publicKey(number: number): string {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt32BE(number, 28)
  return bytes.toString('base64url')
}

/** Resolves when all that follows from these calls without time or input has happened: memory stores answer in microtasks. */
export async function settled(...calls: unknown[]): Promise<void> {
  await Promise.all(calls)
  await new Promise((resolve) => setImmediate(resolve))
}
