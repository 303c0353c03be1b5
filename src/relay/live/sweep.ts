import { RelayError } from '../errors.ts'
import { livingIn, type RelayPorts } from '../ports.ts'
import { sweep } from '../session/presence.ts'
import { deadlineOf } from '../session/session.ts'

/** Does to sessions what time alone does. */
export class Sweep {
  readonly #ports: RelayPorts
  /** Sessions that the last sweep failed on. */
  #failed: ReadonlySet<string> = new Set()

  constructor(ports: RelayPorts) {
    this.#ports = ports
  }

  /** Ends or forgets the sessions that are due. Throws the refusal of a store that does not answer. */
  async run(): Promise<void> {
    const failed = new Set<string>()
    for (const id of await this.#ports.sessions.due()) {
      try {
        await this.#sweepOne(id)
      } catch (error) {
        if (error instanceof RelayError) throw error
        // The sweep comes again each second: report a failure once.
        if (!this.#failed.has(id)) this.#ports.diagnostics.failed(error)
        failed.add(id)
      }
    }
    this.#failed = failed
  }

  async #sweepOne(id: string): Promise<void> {
    const { clock, sessions, bus, cluster } = this.#ports
    const session = await sessions.get(id)
    if (session && deadlineOf(session) > clock.now()) return
    if (session?.state !== 'open') return sessions.delete(id)
    const isAlive = livingIn(cluster)
    const { version } = await sessions.update(id, (current, now) => sweep(current, now, isAlive))
    if (version !== session.version) bus.wake(id, { about: 'session' })
  }
}
