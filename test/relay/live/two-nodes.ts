import type { Bus, BusListener, Cluster, MailboxStore, Wake } from '../../../src/relay/ports.ts'
import { MemoryMailboxStore } from '../../../src/store/memory/mailboxes.ts'
import { MemorySessionStore } from '../../../src/store/memory/sessions.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeSecrets } from '../../support/fake-secrets.ts'
import { Gate } from '../../support/gate.ts'
import { settled, TestRelay } from '../../support/relay.ts'

/** A cluster of nodes that all live, as one of them has it. */
export function clusterOf(node: string, mailboxes: MailboxStore): Cluster {
  return {
    node,
    mailboxes,
    isAlive: () => true,
    isReachable: true,
    beat: async () => false,
    leave: async () => {},
  }
}

/** Two nodes over stores in memory that both reach, and a wire between them that a test can cut or hold. */
export class TwoNodes {
  readonly A: TestRelay
  readonly B: TestRelay
  readonly sessions: MemorySessionStore
  /** Where shared frames are. */
  readonly mailboxes = new MemoryMailboxStore()
  /** Before those, for what A asks. */
  readonly gate = new Gate()
  /** Before what A has in its own memory. */
  readonly own = new Gate()
  readonly clock = new FakeClock()
  /** Set while neither node hears what the other says. */
  deaf = false
  readonly #listeners = new Map<string, BusListener[]>()

  constructor() {
    const sessions = new MemorySessionStore(this.clock)
    this.sessions = sessions
    const secrets = new FakeSecrets()
    const node = (name: string, mailboxes: MailboxStore) => {
      const wrapMailboxes = (store: MailboxStore) => (name === 'A' ? this.own.behind(store) : store)
      const options = {
        cluster: clusterOf(name, mailboxes),
        bus: this.#bus(name),
        wrapSessions: () => sessions,
        wrapMailboxes,
      }
      return new TestRelay(options, this.clock, secrets)
    }
    this.A = node('A', this.gate.behind(this.mailboxes))
    // As a store that both reach does, it answers later.
    this.B = node('B', new Gate().behind(this.mailboxes))
  }

  /** Lets time pass at both. */
  async pass(milliseconds: number): Promise<void> {
    this.clock.advance(milliseconds)
    await this.A.tick()
    await this.B.tick()
  }

  /** A session whose sender is at A and whose receiver is at B, approved. */
  async pair() {
    const sender = await this.A.open()
    const receiver = await this.B.join(sender.senderCode)
    const S = await this.A.attach(sender)
    const R = await this.B.attach(receiver)
    await settled(this.A.approve(sender, receiver))
    return { sender, receiver, S, R }
  }

  #bus(name: string): Bus {
    const own: BusListener[] = []
    this.#listeners.set(name, own)
    return {
      wake: (sessionId: string, wake: Wake) => {
        if (wake.about === 'session') for (const listener of own) listener.woken(sessionId, wake, true)
        if (this.deaf) return
        for (const [other, listeners] of this.#listeners) {
          if (other !== name) for (const listener of listeners) listener.woken(sessionId, wake, false)
        }
      },
      subscribe: (listener) => void own.push(listener),
    }
  }
}
