import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { Discard } from '../../relay/ports.ts'
import type { Figures } from '../../relay/relay.ts'
import type { ReceiverOutcome, SessionEnd, SessionObserver } from '../../store/observed-sessions.ts'
import type { RefusalKind } from '../http/refusals.ts'

/** Seconds that people take. */
const WAITS = [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 3600]
/** Seconds that a server takes. */
const ANSWERS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3]

/** The state of this node when somebody asks. */
export interface Sources {
  readonly figures: () => Figures
  readonly budgetBytes: number
  /** Undefined for a relay that is alone. */
  readonly isRedisUp: (() => boolean) | undefined
  /** Observes the process too: CPU, memory, descriptors, the event loop. */
  readonly observesProcess: boolean
}

/**
 * Counts for the operator of a relay, in the form of Prometheus. Each label has few values, all from tables of the program: none
 * names a person, a code, a session or an address.
 */
export class RelayMetrics implements SessionObserver {
  readonly #registry = new Registry()
  readonly #created = this.#counter('sessions_created_total', 'Sessions opened at this node')
  readonly #closed = this.#counter('sessions_closed_total', 'Sessions ended by a change at this node', 'outcome')
  readonly #joined = this.#counter('receivers_joined_total', 'Receivers that joined at this node')
  readonly #outcomes = this.#counter('receivers_total', 'Receivers by what became of them', 'outcome')
  readonly #attaches = this.#counter('attaches_total', 'Roles that attached, by a socket or over HTTP', 'via')
  readonly #reconnects = this.#counter('reconnects_total', 'Attaches of roles that had been attached before')
  readonly #frames = this.#counter('frames_total', 'Data frames taken')
  readonly #bytes = this.#counter('frame_bytes_total', 'Bytes of the data frames taken, headers included')
  readonly #discards = this.#counter('frames_discarded_total', 'Data frames discarded', 'reason')
  readonly #refusals = this.#counter('refusals_total', 'Requests, sockets and connections refused', 'code')
  readonly #failures = this.#counter('failures_total', 'Failures that no client caused')
  readonly #approval = this.#histogram('approval_seconds', 'From a join to its approval', WAITS)
  readonly #receipt = this.#histogram('receipt_seconds', 'From a join to the receiver being done', WAITS)
  readonly #redis: Histogram | undefined

  constructor({ figures, budgetBytes, isRedisUp, observesProcess }: Sources) {
    const gauge = (name: string, help: string, value: (all: Figures) => number) =>
      new Gauge({
        name: `pairlay_${name}`,
        help,
        registers: [this.#registry],
        collect() {
          this.set(value(figures()))
        },
      })
    gauge('sessions', 'Sessions that this node has somebody of', ({ sessions }) => sessions)
    gauge('receivers_pending', 'Receivers that wait, of these sessions', ({ pending }) => pending)
    gauge('receivers_approved', 'Approved receivers, of these sessions', ({ approved }) => approved)
    gauge('sockets', 'WebSockets', ({ sockets }) => sockets)
    gauge('polls', 'Views held', ({ polls }) => polls)
    gauge('budget_granted_bytes', 'Bytes of windows granted', ({ grantedBytes }) => grantedBytes)
    gauge('budget_free_bytes', 'Bytes of MEMORY_BUDGET_BYTES that are free', (all) => budgetBytes - all.grantedBytes)
    if (isRedisUp) {
      gauge('redis_up', 'Whether this node reaches Redis', () => Number(isRedisUp()))
      this.#redis = this.#histogram('redis_answer_seconds', 'Answers of Redis', ANSWERS)
    }
    if (observesProcess) collectDefaultMetrics({ register: this.#registry })
  }

  /** Everything as text. */
  async text(): Promise<{ readonly type: string; readonly body: string }> {
    return { type: this.#registry.contentType, body: await this.#registry.metrics() }
  }

  created(): void {
    this.#created.inc()
  }

  joined(): void {
    this.#joined.inc()
  }

  attached(via: 'socket' | 'http', again: boolean): void {
    this.#attaches.inc({ via })
    if (again) this.#reconnects.inc()
  }

  ended(outcome: ReceiverOutcome, ms: number): void {
    this.#outcomes.inc({ outcome })
    if (outcome === 'approved') this.#approval.observe(ms / 1000)
    if (outcome === 'done') this.#receipt.observe(ms / 1000)
  }

  closed({ outcome }: SessionEnd): void {
    this.#closed.inc({ outcome })
  }

  relayed(bytes: number): void {
    this.#frames.inc()
    this.#bytes.inc(bytes)
  }

  discarded(reason: Discard): void {
    this.#discards.inc({ reason })
  }

  refused(code: RefusalKind): void {
    this.#refusals.inc({ code })
  }

  failed(): void {
    this.#failures.inc()
  }

  redisAnswered(ms: number): void {
    this.#redis?.observe(ms / 1000)
  }

  #counter<L extends string = never>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name: `pairlay_${name}`, help, labelNames, registers: [this.#registry] })
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: `pairlay_${name}`, help, buckets, registers: [this.#registry] })
  }
}
