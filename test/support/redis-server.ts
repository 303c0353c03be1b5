import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { describe } from 'vitest'

/** A real redis-server on loopback, that a test may freeze, kill and bring back. */
export interface RedisServer {
  readonly url: string
  readonly port: number
  /** Every key, of whatever database number 0 holds. */
  keys(): Promise<string[]>
  /** Milliseconds each key has left, −1 for one that has no time-out. */
  timeouts(): Promise<Map<string, number>>
  /** Runs a command as the server's owner. */
  command(...args: string[]): Promise<unknown>
  /** Runs a command as somebody else. */
  commandAs(user: RedisUser, ...args: string[]): Promise<unknown>
  /** Stops it in its tracks: connections stay open and nothing answers. */
  freeze(): void
  thaw(): void
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>
  /** Starts it again on its port, empty. */
  restart(): Promise<void>
  /** Ends it for good. */
  stop(): Promise<void>
}

/** Reports whether the program is there. With REQUIRE_ALL=1 it must be. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0

/** Tests that need a redis-server: without one they are skipped, or fail when REQUIRE_ALL is set. */
export const describeRedis: (name: string, tests: () => void) => void =
  hasRedis || process.env.REQUIRE_ALL === '1'
    ? describe
    : (name, tests) => describe.skip(`${name} (skipped: there is no redis-server here)`, tests)

/** None outlives the process that has started it, however that ends. */
const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** Whom a server lets in that has users. */
export interface RedisUser {
  readonly username: string
  readonly password: string
}

/** Starts one with nothing on disk, on a free port of 127.0.0.1. `args` are added to its command line. */
export async function startRedis(args: readonly string[] = [], owner?: RedisUser): Promise<RedisServer> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'pairlay-redis-'))
  const url = `redis://127.0.0.1:${port}`
  const start = async () => {
    const settings = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      folder,
    ]
    const child = spawn('redis-server', [...settings, ...args], { stdio: 'ignore' })
    children.add(child)
    const exited = once(child, 'exit').finally(() => children.delete(child))
    for (;;) {
      if (child.exitCode !== null) throw new Error(`redis-server exited with ${child.exitCode}`)
      if (await answers(port, owner)) return { child, exited }
      await delay(20)
    }
  }
  let server = await start()
  const withClient = async <T>(use: (client: Client) => Promise<T>, user = owner): Promise<T> => {
    const client = clientOf(port, user)
    client.on('error', () => {})
    await client.connect()
    try {
      return await use(client)
    } finally {
      client.destroy()
    }
  }
  const kill = async () => {
    server.child.kill('SIGKILL')
    await server.exited
  }
  return {
    url,
    port,
    keys: () => withClient((client) => client.keys('*')),
    timeouts: () =>
      withClient(async (client) => {
        const keys = await client.keys('*')
        return new Map(await Promise.all(keys.map(async (key) => [key, await client.pTTL(key)] as const)))
      }),
    command: (...args) => withClient((client) => client.sendCommand(args)),
    commandAs: (user, ...args) => withClient((client) => client.sendCommand(args), user),
    freeze: () => void server.child.kill('SIGSTOP'),
    thaw: () => void server.child.kill('SIGCONT'),
    kill,
    restart: async () => {
      if (server.child.exitCode === null && server.child.signalCode === null) await kill()
      server = await start()
    },
    stop: async () => {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A server with all slots of a cluster: it refuses a command or a script with keys in several slots. */
export async function startRedisCluster(): Promise<RedisServer> {
  const redis = await startRedis(['--cluster-enabled', 'yes', '--cluster-port', String(await freePort())])
  await redis.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
  while (!String(await redis.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) await delay(20)
  return redis
}

type Client = ReturnType<typeof clientOf>

function clientOf(port: number, owner?: RedisUser) {
  return createClient({ ...owner, socket: { host: '127.0.0.1', port, reconnectStrategy: false } })
}

async function answers(port: number, owner?: RedisUser): Promise<boolean> {
  const client = clientOf(port, owner)
  client.on('error', () => {})
  try {
    await client.connect()
    await client.ping()
    return true
  } catch {
    return false
  } finally {
    client.destroy()
  }
}

/** Returns a port that was free a moment ago, for a program that cannot name its own. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  return address.port
}
