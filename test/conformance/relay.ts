import { setTimeout as delay } from 'node:timers/promises'
import { startRedis } from '../support/redis-server.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { SETTING } from '../support/setting.ts'

/** The relay under test, known by its URL alone. */
export interface Relay {
  /** Without a slash at the end. */
  readonly url: string
  /** The node that receivers use, where there are several. */
  readonly forReceivers?: Relay
  /** Errors in the log of a relay of this tree. Another relay has none to show. */
  readonly failures: readonly string[]
  /** Stops a relay of this tree and resolves with its exit code; leaves any other alone. */
  stop(): Promise<number>
}

/** True for a relay that somebody else started, with settings of their own. */
export const isForeign = Boolean(process.env.PAIRLAY_URL)

/** True where sender and receivers use different nodes. A window then begins anew with each socket, and a node gives none for the other. */
export const hasNodes = SETTING === 'nodes'

/** True where sessions outlive the relay process, and frames that wait for nobody do not outlive their sockets. */
export const hasSharedStore = SETTING === 'redis' || SETTING === 'nodes'

/** True where the devices use section 5.9 and no WebSocket. */
export const isOverHttp = SETTING === 'http'

/** The relay at PAIRLAY_URL or, without one, a fresh one of this tree. */
export async function openRelay(): Promise<Relay> {
  const { PAIRLAY_URL } = process.env
  if (!PAIRLAY_URL) return startRelay()
  return relayAt(PAIRLAY_URL.replace(/\/+$/, ''))
}

/** A relay that somebody else starts and stops. */
export function relayAt(url: string): Relay {
  return { url, failures: [], stop: async () => 0 }
}

/** Starts the relay of this tree in the setting that the suite runs in. Of the environment it gets `settings` and nothing else. */
export async function startRelay(settings: Readonly<Record<string, string>> = {}): Promise<Relay> {
  if (SETTING !== 'redis' && SETTING !== 'nodes') return startNode(settings)
  const redis = await startRedis()
  const node = () => startReadyNode({ ...settings, REDIS_URL: redis.url, DRAIN_SECONDS: '0' })
  const nodes = SETTING === 'redis' ? [await node()] : [await node(), await node()]
  const [first, second] = nodes
  return {
    url: first.url,
    ...(second ? { forReceivers: second } : {}),
    get failures() {
      return nodes.flatMap(({ failures }) => failures)
    },
    stop: async () => {
      const [exitCode = 1] = await Promise.all(nodes.map((each) => each.stop()))
      await redis.stop()
      return exitCode
    },
  }
}

/** A node that reaches its store, and that the others know. */
async function startReadyNode(settings: Readonly<Record<string, string>>): Promise<Relay> {
  const node = await startNode(settings)
  while ((await fetch(`${node.url}/readyz`)).status !== 200) await delay(10)
  return node
}

/** Every call but a join comes from one address here. */
const LIMITS = {
  RATE_LIMIT_CREATES: '10000000',
  RATE_LIMIT_ATTACHES: '10000000',
  MAX_SESSIONS_PER_SOURCE: '10000000',
  MAX_CONNECTIONS_PER_SOURCE: '10000000',
  MAX_SOCKETS_PER_SOURCE: '10000000',
  MAX_POLLS_PER_SOURCE: '10000000',
}

/** Starts one relay as it was built before the tests, as a process of its own. */
function startNode(settings: Readonly<Record<string, string>>): Promise<Relay> {
  return startRelayProcess({ ...LIMITS, RATE_LIMIT: 'on', TRUST_PROXY: '127.0.0.1', ...settings })
}
