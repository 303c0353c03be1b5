import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Agent, withAgents } from '../harness/agents.ts'
import { temporaryFolder } from '../harness/children.ts'
import { cpuSplit } from '../harness/process-stats.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { Section } from '../harness/report.ts'
import { MANY_SESSIONS } from '../harness/settings.ts'
import { type Origin, sharesOf } from '../harness/shares.ts'
import { SDK_FRAME_BYTES } from '../plan.ts'

const TIMEOUT_MS = 120_000
const CONNECTIONS = 16
const AT_ONCE = 32

/** Whose code the relay's time goes to: where a goal is not met, this is where the limit is. */
export const profile: Section = {
  name: 'profile',
  about: 'whose code the CPU time of the relay goes to, by samples of its own process',
  run: async ({ plan, report }) => {
    const { bytes } = plan.relaying
    const { together, commands } = plan.pairing
    const messages = Math.ceil((2 * bytes) / SDK_FRAME_BYTES)
    const loads: readonly Load[] = [
      {
        name: 'one pair, frames of the SDK',
        run: async (agent, { target }) => {
          const handle = await agent.call('openBulk', { target, pairs: 1, messageBytes: SDK_FRAME_BYTES, messages })
          await agent.call('runBulk', { handle, messages, timeoutMs: TIMEOUT_MS })
          await agent.call('closeBulk', { handle })
        },
      },
      {
        name: 'whole pairings',
        run: async (agent, { address }) => {
          const count = 2 * together
          const seconds = TIMEOUT_MS / 1000
          await agent.call('runPairings', { address, concurrency: AT_ONCE, count, seconds, keepAlive: true })
        },
      },
      {
        name: 'POST create',
        run: async (agent, { address }) => {
          const load = {
            address,
            command: 'create',
            connections: CONNECTIONS,
            count: 2 * commands,
            bare: false,
          } as const
          await agent.call('runCommands', load)
        },
      },
    ]
    await withAgents(1, async ([agent]) => {
      if (!agent) return
      const rows = []
      for (const load of loads) {
        const { kernel, shares } = await sampled(agent, load)
        const of = (origin: Origin) => (shares.get(origin) ?? 0) * 100
        rows.push({
          name: load.name,
          cells: {
            kernel: kernel * 100,
            native: of('native'),
            node: of('node'),
            ws: of('ws'),
            fastify: of('libraries'),
            collector: of('collector'),
            ours: of('ours'),
          },
        })
      }
      report.table({
        title: 'Profile: shares of the relay’s CPU time, in per cent',
        columns: [
          { key: 'kernel', head: 'in the kernel', digits: 0 },
          { key: 'native', head: 'native code', digits: 0 },
          { key: 'node', head: 'JS of Node', digits: 0 },
          { key: 'ws', head: 'of ws', digits: 0 },
          { key: 'fastify', head: 'of Fastify, zod, …', digits: 0 },
          { key: 'collector', head: 'collector', digits: 0 },
          { key: 'ours', head: 'of the relay', digits: 0 },
        ],
        rows,
        notes: [
          'in the kernel: as the kernel counts it, which is part of the other columns; they add up to 100, from samples, start included',
          'native code: libuv, OpenSSL, the unmasking, and the system calls made from there',
        ],
      })
    })
  },
}

interface Load {
  readonly name: string
  readonly run: (agent: Agent, relay: RelayProcess) => Promise<void>
}

async function sampled(
  agent: Agent,
  load: Load,
): Promise<{ readonly kernel: number; readonly shares: ReadonlyMap<Origin, number> }> {
  const folder = temporaryFolder()
  const nodeArgs = ['--cpu-prof', '--cpu-prof-interval', '500', '--cpu-prof-dir', folder]
  const relay = await RelayProcess.start({ env: MANY_SESSIONS, nodeArgs })
  const before = cpuSplit(relay.pid)
  await load.run(agent, relay)
  const after = cpuSplit(relay.pid)
  await relay.end('SIGTERM')
  const [file] = readdirSync(folder)
  if (file === undefined) throw new Error('the relay left no profile')
  const kernel = (after.kernel - before.kernel) / (after.kernel + after.user - before.kernel - before.user)
  return { kernel, shares: sharesOf(JSON.parse(readFileSync(join(folder, file), 'utf8'))) }
}
