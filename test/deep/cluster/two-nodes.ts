import { afterEach, beforeEach } from 'vitest'
import { type RedisServer, startRedis } from '../../support/redis-server.ts'
import { type RunningNode, type ServerOptions, startNode } from '../../support/server.ts'

export interface TwoNodes {
  readonly redis: RedisServer
  readonly A: RunningNode
  readonly B: RunningNode
}

/** Two nodes that know each other. With a clock that stands still neither takes the other for ended, however slow a test is. */
export async function startTwo(redisUrl: string, options: ServerOptions = {}): Promise<[RunningNode, RunningNode]> {
  const [A, B] = [await startNode(redisUrl, options), await startNode(redisUrl, options)]
  for (const node of [A, B, A]) await node.tick()
  return [A, B]
}

/** Lets nodes tick as the process does, but sooner, until what comes back is called. */
export function ticking(nodes: readonly RunningNode[]): () => void {
  const timer = setInterval(() => {
    for (const node of nodes) node.tick().catch(() => {})
  }, 100)
  return () => clearInterval(timer)
}

/** Two nodes and their Redis for each test of a suite, which tick. */
export function eachWithTwoNodes(use: (nodes: TwoNodes) => void): void {
  let redis: RedisServer
  let nodes: RunningNode[] = []
  let stopTicking: () => void
  beforeEach(async () => {
    redis = await startRedis()
    const [A, B] = await startTwo(redis.url)
    nodes = [A, B]
    stopTicking = ticking(nodes)
    use({ redis, A, B })
  })
  afterEach(async () => {
    stopTicking()
    await Promise.all(nodes.map((node) => node.close()))
    await redis.stop()
  })
}
