import type { Agent } from '../harness/agents.ts'
import type { Outcome } from '../harness/interleave.ts'
import { RelayProcess } from '../harness/relay.ts'
import { ratios, type Spread, spread } from '../harness/stats.ts'
import {
  bareWs,
  haproxyWebSocket,
  nginxStream,
  nginxWebSocket,
  pipingServerNpm,
  type RunningServer,
  redis,
  type StartServer,
  tcpPipe,
  wormholeTransit,
} from '../yardsticks/servers.ts'

export const RELAY = 'pairlay relay'
export const BARE_WS = 'bare ws, one hop'
export const PIPING = 'piping-server'
export const NGINX_STREAM = 'nginx stream (TCP)'
export const NGINX_WS = 'nginx (WebSocket)'
export const TRANSIT = 'wormhole transit relay'

interface ServerKind {
  readonly name: string
  readonly start: StartServer
  /** Tells if messages can go both ways, for a ping. */
  readonly bothWays: boolean
}

/** Everything that bytes can be sent through here. To add a yardstick: an entry, a start function, maybe a kind of link. */
export const SERVERS: readonly ServerKind[] = [
  { name: RELAY, start: startRelay, bothWays: true },
  { name: BARE_WS, start: bareWs, bothWays: true },
  { name: 'Node socket.pipe (TCP)', start: tcpPipe, bothWays: true },
  { name: NGINX_WS, start: nginxWebSocket, bothWays: true },
  { name: NGINX_STREAM, start: nginxStream, bothWays: true },
  { name: 'HAProxy (WebSocket)', start: haproxyWebSocket, bothWays: true },
  { name: PIPING, start: pipingServerNpm, bothWays: false },
  { name: 'Redis pub/sub', start: redis, bothWays: true },
  { name: TRANSIT, start: wormholeTransit, bothWays: true },
]

async function startRelay(backends: readonly number[]): Promise<RunningServer> {
  const relay = await RelayProcess.start()
  return { pids: [relay.pid], targets: backends.map(() => relay.target), stop: () => relay.end() }
}

export interface NamedServer extends RunningServer {
  readonly name: string
}

/** Starts what is installed. `notes` says what is not. */
export async function withServers<T>(
  agents: readonly Agent[],
  kinds: readonly ServerKind[],
  work: (servers: readonly NamedServer[], notes: readonly string[]) => Promise<T>,
): Promise<T> {
  const backends = await Promise.all(agents.map((agent) => agent.call('listenAsBackend')))
  const servers: NamedServer[] = []
  const notes: string[] = []
  try {
    for (const { name, start } of kinds) {
      try {
        const started = await start(backends)
        if ('skipped' in started) notes.push(`${name}: skipped: ${started.skipped}`)
        else servers.push({ name, ...started })
      } catch (error) {
        notes.push(`${name}: failed: ${error instanceof Error ? error.message : error}`)
      }
    }
    return await work(servers, notes)
  } finally {
    await Promise.all(servers.map(({ stop }) => stop()))
  }
}

/** A load generator that was busy all the time measures itself. */
const BUSY_SHARE = 0.95

/** Names the rows whose numbers are the client's. `share`: its CPU-seconds per second. */
export function clientBoundNote(shares: ReadonlyMap<string, Spread | undefined>): string[] {
  const bound = [...shares]
    .filter(([, share]) => share !== undefined && share.median >= BUSY_SHARE)
    .map(([name]) => name)
  return bound.length === 0 ? [] : [`the client was the bottleneck (its CPU at 100 %) for: ${bound.join(', ')}`]
}

export function failureNotes(outcomes: readonly Outcome<unknown>[]): string[] {
  return outcomes.flatMap(({ name, failure, rounds }) =>
    failure === undefined ? [] : [`${name}: failed in round ${rounds.length + 1}: ${failure}`],
  )
}

/** The median of the ratios of two rows, round by round. */
export function ratioOf<T>(
  outcomes: readonly Outcome<T>[],
  above: string,
  below: string,
  value: (round: T) => number,
): number | undefined {
  return ratiosOf(outcomes, above, below, value)?.median
}

/** The ratios of two rows, round by round. */
export function ratiosOf<T>(
  outcomes: readonly Outcome<T>[],
  above: string,
  below: string,
  value: (round: T) => number,
): Spread | undefined {
  const values = (name: string) => outcomes.find((each) => each.name === name)?.rounds.map(value) ?? []
  return spread(ratios(values(above), values(below)))
}
