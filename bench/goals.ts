/** Goals of the project, and the verdict of a run on each. A goal is a ratio to a yardstick of the same run, or a plain number. */

export interface Measured {
  /** Undefined when this run could not measure it. */
  readonly value: number | undefined
  readonly note?: string
}

interface Goal {
  readonly text: string
  readonly unit: string
  /** `most`: small is good; `least`: large is good. */
  readonly bound: 'most' | 'least'
  readonly gate?: number
  readonly aim?: number
}

export const GOALS = {
  cliVsCroc: { text: '512 MiB CLI to CLI, wall ÷ croc', unit: '×', bound: 'most', gate: 1.5, aim: 1.0 },
  cliVsWormhole: { text: '512 MiB CLI to CLI, wall ÷ magic-wormhole', unit: '×', bound: 'most', gate: 0.45, aim: 0.3 },
  devicesCpuVsCroc: { text: 'CPU of both devices ÷ croc’s', unit: '×', bound: 'most', gate: 1.5, aim: 1.1 },
  senderMemory: { text: 'memory of a sending CLI', unit: 'MiB', bound: 'most', gate: 100, aim: 80 },
  sendStart: { text: '`pairlay send` to its code', unit: 's', bound: 'most', gate: 0.35, aim: 0.2 },
  receiveStart: { text: '`pairlay receive` to its question', unit: 's', bound: 'most', gate: 0.35, aim: 0.2 },
  threeBytes: { text: '3 bytes, code in hand to "Delivered"', unit: 's', bound: 'most', gate: 0.9, aim: 0.5 },
  folderVsFile: { text: 'folder of 16 KiB files, rate ÷ one file of that size', unit: '×', bound: 'least', gate: 0.5 },
  browserMemory: { text: 'browser, memory above idle for 2 GiB', unit: 'MiB', bound: 'most', gate: 400 },
  browserPage: { text: 'browser page, one core', unit: 'MB/s', bound: 'least', gate: 60, aim: 150 },
  cpuVsWs256: { text: 'relay CPU per GB ÷ bare ws, 256 KiB frames', unit: '×', bound: 'most', gate: 0.9, aim: 0.6 },
  cpuVsWs64: { text: 'relay CPU per GB ÷ bare ws, 64 KiB frames', unit: '×', bound: 'most', gate: 0.9, aim: 0.6 },
  cpuVsPiping: { text: 'relay CPU per GB ÷ piping-server', unit: '×', bound: 'most', gate: 1.0 },
  cpuVsNginx: { text: 'relay CPU per GB ÷ nginx stream', unit: '×', bound: 'most', aim: 1.5 },
  rateVsPiping: { text: 'one pair, MB/s ÷ piping-server', unit: '×', bound: 'least', gate: 1.0 },
  rateVsTransit: { text: 'one pair, MB/s ÷ wormhole transit relay', unit: '×', bound: 'least', gate: 1.0 },
  flat: {
    text: 'flat: MB/s while sessions and sockets are held ÷ empty',
    unit: '×',
    bound: 'least',
    gate: 0.95,
    aim: 1,
  },
  markCompacts: { text: 'mark-compacts per GB while they are held', unit: '', bound: 'most', gate: 2, aim: 0 },
  p99Loaded: { text: 'p99 of a 64 B frame beside a transfer ÷ bare ws', unit: '×', bound: 'most', gate: 1.0, aim: 0.5 },
  idleOneWay: { text: 'idle p50 one way ÷ a C relay (nginx, WebSocket)', unit: '×', bound: 'most', gate: 1.15 },
  stalledReceiver: {
    text: 'memory per stalled receiver beyond its window',
    unit: 'KiB',
    bound: 'most',
    gate: 1024,
    aim: 0,
  },
  heapPerSession: { text: 'heap per waiting session', unit: 'B', bound: 'most', gate: 600, aim: 400 },
  memoryPerSocket: { text: 'memory per idle socket', unit: 'KiB', bound: 'most', gate: 8.5, aim: 6 },
  timersPerSession: { text: 'timers per session', unit: '', bound: 'most', gate: 0 },
  createVsFastify: { text: 'POST create, rate ÷ Fastify', unit: '×', bound: 'least', gate: 0.7, aim: 0.85 },
  joinVsFastify: { text: 'POST join, rate ÷ Fastify', unit: '×', bound: 'least', gate: 0.7, aim: 0.85 },
  pairingVsStub: { text: 'a whole pairing, relay CPU ÷ a stub’s', unit: '×', bound: 'most', gate: 1.5, aim: 1.2 },
  storeGrowth: { text: 'insert + expire a session, 1 M ÷ 10 k live', unit: '×', bound: 'most', gate: 4, aim: 3 },
  floodRate: {
    text: 'pairings/s while one address floods ÷ without',
    unit: '×',
    bound: 'least',
    gate: 0.5,
  },
  floodP99: { text: 'p99 of a pairing while one address floods ÷ without', unit: '×', bound: 'most', gate: 2 },
  nodesCpu: { text: 'two nodes, legs on one, CPU per GB ÷ a relay alone', unit: '×', bound: 'most', gate: 1.1, aim: 1 },
} as const satisfies Record<string, Goal>

export type GoalId = keyof typeof GOALS
export type Verdict = 'aim met' | 'gate met' | 'not met' | 'not measured'
export interface GoalResult extends Goal {
  readonly id: GoalId
  readonly measured: number | undefined
  readonly note: string | undefined
  readonly verdict: Verdict
}

/** A goal without an aim has its aim met with its gate, and the other way round: one bound is all it asks. */
export function judge(measurements: ReadonlyMap<GoalId, Measured>): GoalResult[] {
  return (Object.keys(GOALS) as GoalId[]).map((id) => {
    const goal: Goal = GOALS[id]
    const { value, note } = measurements.get(id) ?? { value: undefined, note: 'its section did not run' }
    return { ...goal, id, measured: value, note, verdict: verdictOf(goal, value) }
  })
}

function verdictOf({ bound, gate, aim }: Goal, value: number | undefined): Verdict {
  if (value === undefined || !Number.isFinite(value)) return 'not measured'
  const within = (limit: number) => (bound === 'most' ? value <= limit : value >= limit)
  if (aim !== undefined && within(aim)) return 'aim met'
  if (gate !== undefined && within(gate)) return 'gate met'
  return 'not met'
}
