import { startRedis } from '../../support/redis-server.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import type { SETTINGS } from '../../support/setting.ts'
import { startNode } from './cluster.ts'
import type { Side } from './pairing.ts'

export type Setting = (typeof SETTINGS)[number]

/** Relays as one of the four settings has them. */
export interface Relays {
  /** The node of each side. */
  readonly ports: Readonly<Record<Side, number>>
  /** A relay that knows nothing of their sessions: whoever comes there has lost its own. */
  readonly elsewhere: number
  readonly refusesSockets: boolean
  /** Errors that they logged. */
  readonly failures: () => readonly string[]
  readonly close: () => Promise<void>
}

const OPEN = { MAX_SESSIONS_PER_CLIENT: '100000' }

export async function startRelays(setting: Setting): Promise<Relays> {
  const redis = setting === 'redis' || setting === 'nodes' ? await startRedis() : undefined
  const settings = redis ? { ...OPEN, REDIS_URL: redis.url, DRAIN_SECONDS: '0' } : OPEN
  const sender = await startNode(settings)
  const receiver = setting === 'nodes' ? await startNode(settings) : sender
  const elsewhere = await startRelayProcess(OPEN)
  const nodes = [...new Set([sender, receiver, elsewhere])]
  return {
    ports: { sender: sender.port, receiver: receiver.port },
    elsewhere: elsewhere.port,
    refusesSockets: setting === 'http',
    failures: () => nodes.flatMap(({ failures }) => failures),
    close: async () => {
      for (const node of nodes) await node.kill()
      await redis?.stop()
    },
  }
}
