import { type Agent, withAgents } from '../harness/agents.ts'
import { end } from '../harness/children.ts'
import { interleave } from '../harness/interleave.ts'
import { descriptorLimit } from '../harness/process-stats.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { Section } from '../harness/report.ts'
import { MANY_SESSIONS, settingsNote } from '../harness/settings.ts'
import { ratios, spread } from '../harness/stats.ts'
import { SDK_FRAME_BYTES } from '../plan.ts'
import { startProgram } from '../yardsticks/servers.ts'
import { BARE_WS, failureNotes, type NamedServer, RELAY } from './contenders.ts'
import { share } from './holding.ts'
import { type Transfer, transfer } from './relaying.ts'

const HOLDERS = 2
const MIB = 1024 * 1024
const GB = 1e9
const SPARE_DESCRIPTORS = 400

export const flatness: Section = {
  name: 'flatness',
  about: 'whether one transfer slows down when the relay holds many sessions and sockets',
  run: async ({ plan, report }) => {
    const { sessions, bytes, rounds, seconds } = plan.flatness
    const sockets = Math.min(plan.flatness.sockets, descriptorLimit() - SPARE_DESCRIPTORS)
    const held = `${sessions.toLocaleString('en-US')} sessions and ${sockets.toLocaleString('en-US')} idle sockets`
    await withAgents(HOLDERS + 1, async ([agent, ...holders]) => {
      if (!agent) return
      const names = { empty: `${RELAY}, empty`, full: `${RELAY}, with ${held}` }
      const wsNames = { empty: `${BARE_WS}, empty`, full: `${BARE_WS}, with as many idle sockets` }
      const servers = await Promise.all([startRelay(names.empty), startRelay(names.full)])
      const bare = [await startBare(wsNames.empty), await startBare(wsNames.full)] as const
      try {
        await fill(holders, servers[1], sessions, sockets)
        await fillBare(holders, bare[1], sockets)
        const load = { frameBytes: SDK_FRAME_BYTES, pairs: 1, bytes }
        const outcomes = await interleave<Transfer>(
          [...servers, ...bare].map((server) => {
            const run = () => transfer(agent, server, load)
            return { name: server.name, run, warmUp: run }
          }),
          { rounds, seconds },
        )
        const compactions = await countMarkCompacts(agent, holders, { sessions, sockets, bytes })
        report.table({
          title: `Flatness: one pair, frames of the SDK, ${Math.round(bytes / MIB)} MiB a round`,
          columns: [
            { key: 'rate', head: 'MB/s', digits: 0 },
            { key: 'cpu', head: 'server CPU s/GB', digits: 2 },
            { key: 'compacts', head: 'mark-compacts per GB', digits: 1 },
          ],
          rows: outcomes.map(({ name, rounds: each }) => ({
            name,
            cells: {
              rate: spread(each.map((r) => r.rate)),
              cpu: spread(each.map((r) => r.cpuPerGb)),
              compacts: name === names.empty ? compactions.empty : name === names.full ? compactions.full : undefined,
            },
          })),
          notes: [
            'mark-compacts: counted in processes of their own, with --trace-gc, during one such transfer',
            settingsNote(MANY_SESSIONS),
            ...failureNotes(outcomes),
          ],
        })
        const rates = (name: string) => outcomes.find((each) => each.name === name)?.rounds.map((r) => r.rate) ?? []
        report.goal('flat', spread(ratios(rates(names.full), rates(names.empty)))?.median, `with ${held}`)
        report.goal('markCompacts', compactions.full, `with ${held}`)
      } finally {
        await Promise.all(holders.map((holder) => holder.call('release')))
        await Promise.all([...servers, ...bare].map((server) => server.stop()))
      }
    })
  },
}

async function startRelay(name: string): Promise<NamedServer> {
  const relay = await RelayProcess.start({ env: MANY_SESSIONS })
  return { name, pids: [relay.pid], targets: [relay.target], stop: () => relay.end() }
}

async function startBare(name: string): Promise<NamedServer> {
  const { child, pid, port } = await startProgram('bare-ws')
  return { name, pids: [pid], targets: [{ kind: 'ws', host: '127.0.0.1', port }], stop: () => end(child) }
}

async function fill(holders: readonly Agent[], server: NamedServer, sessions: number, sockets: number): Promise<void> {
  const [address] = server.targets
  if (!address) throw new Error('no target')
  await share(holders, sessions, (holder, count) => holder.call('holdSessions', { address, count }))
  await share(holders, sockets, (holder, count) => holder.call('attachSockets', { address, count }))
}

async function fillBare(holders: readonly Agent[], server: NamedServer, sockets: number): Promise<void> {
  const [address] = server.targets
  if (!address) throw new Error('no target')
  await share(holders, sockets, (holder, count) => holder.call('connectSockets', { address, count }))
}

/** Full collections per GB relayed, with and without what is held. */
async function countMarkCompacts(
  agent: Agent,
  holders: readonly Agent[],
  { sessions, sockets, bytes }: { sessions: number; sockets: number; bytes: number },
): Promise<{ empty: number; full: number }> {
  const count = async (hold: boolean) => {
    let collections = 0
    const relay = await RelayProcess.start({
      env: MANY_SESSIONS,
      nodeArgs: ['--trace-gc'],
      onLine: (line) => {
        if (/Mark-Compact/.test(line)) collections++
      },
    })
    const server = { name: 'traced', pids: [relay.pid], targets: [relay.target], stop: () => relay.end() }
    try {
      if (hold) await fill(holders, server, sessions, sockets)
      const load = { frameBytes: SDK_FRAME_BYTES, pairs: 1, bytes }
      await transfer(agent, server, { ...load, bytes: bytes / 4 })
      const before = collections
      await transfer(agent, server, load)
      return (collections - before) / (bytes / GB)
    } finally {
      await Promise.all(holders.map((holder) => holder.call('release')))
      await relay.end()
    }
  }
  return { empty: await count(false), full: await count(true) }
}
