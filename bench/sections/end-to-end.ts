import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, openSync, readdirSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { removeFolder, temporaryFolder } from '../harness/children.ts'
import { interleave } from '../harness/interleave.ts'
import { costOf } from '../harness/process-stats.ts'
import type { Section, SectionContext } from '../harness/report.ts'
import { spread } from '../harness/stats.ts'
import {
  croc,
  type HandOver,
  type HandOverTool,
  magicWormhole,
  netcat,
  pairlay,
  type StartTool,
  ssh,
  startOnce,
} from '../yardsticks/hand-over.ts'
import { failureNotes, ratioOf } from './contenders.ts'

const MIB = 1024 * 1024
const PAIRLAY = 'pairlay send / receive'
const WORMHOLE = 'magic-wormhole, through its relay'
const CROC = 'croc, through its relay'

/** To add a tool: an entry, and a start function. */
const TOOLS: readonly { readonly name: string; readonly start: StartTool }[] = [
  { name: PAIRLAY, start: pairlay },
  { name: WORMHOLE, start: magicWormhole },
  { name: CROC, start: croc },
  { name: 'ssh (no meeting, no relay)', start: ssh },
  { name: 'nc (no cipher either)', start: netcat },
]

type Tool = { readonly name: string } & HandOverTool
type Round = HandOver & { readonly relayCpu: number; readonly relayPeak: number }

const wallOf = ({ wall }: Round) => wall
const cpuOf = ({ senderCpu, receiverCpu }: Round) => senderCpu + receiverCpu

export const endToEnd: Section = {
  name: 'end-to-end',
  about: 'a file from one command line to another: wall time, and where it goes',
  run: async (context) => {
    const folder = roomyFolder(Math.max(...context.plan.endToEnd.bytes))
    const tools: Tool[] = []
    const notes: string[] = []
    try {
      for (const { name, start } of TOOLS) {
        try {
          const tool = await start()
          if ('skipped' in tool) notes.push(`${name}: skipped: ${tool.skipped}`)
          else tools.push({ name, ...tool })
        } catch (error) {
          notes.push(`${name}: failed: ${error instanceof Error ? error.message : error}`)
        }
      }
      for (const bytes of context.plan.endToEnd.bytes) await ofSize(context, tools, notes, folder, bytes)
      await ofThreeBytes(context, tools, folder)
      await startUp(context, tools, folder)
    } finally {
      for (const { stop } of tools) await stop()
      removeFolder(folder)
    }
  },
}

async function ofSize(
  { plan, report }: SectionContext,
  tools: readonly Tool[],
  skipped: readonly string[],
  folder: string,
  bytes: number,
): Promise<void> {
  const file = join(folder, 'original')
  makeFile(file, bytes)
  const { rounds, secondsPerSize } = plan.endToEnd
  let n = 0
  const outcomes = await interleave<Round>(
    tools.map((tool) => ({
      name: tool.name,
      run: () => handOverOnce(tool, file, join(folder, `received-${n++}`), bytes),
    })),
    { rounds, seconds: secondsPerSize },
  )
  rmSync(file)
  report.table({
    title: `End to end: a file of ${Math.round(bytes / MIB)} MiB, seconds`,
    columns: [
      { key: 'wall', head: 'wall', digits: 2 },
      { key: 'setUp', head: 'of it set-up', digits: 2 },
      { key: 'goodbye', head: 'goodbye', digits: 2 },
      { key: 'senderCpu', head: 'sender CPU', digits: 2 },
      { key: 'receiverCpu', head: 'receiver CPU', digits: 2 },
      { key: 'relayCpu', head: 'relay CPU', digits: 2 },
      { key: 'rate', head: 'MB/s between', digits: 0 },
      { key: 'senderPeak', head: 'sender MiB', digits: 0 },
      { key: 'receiverPeak', head: 'receiver MiB', digits: 0 },
      { key: 'relayPeak', head: 'relay MiB', digits: 0 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        wall: spread(each.map((r) => r.wall)),
        setUp: spread(each.flatMap((r) => r.setUp ?? [])),
        goodbye: spread(each.flatMap((r) => r.goodbye ?? [])),
        ...costCells(tools, name, each),
        rate: spread(each.map((r) => bytes / 1e6 / (r.wall - (r.setUp ?? 0) - (r.goodbye ?? 0)))),
      },
    })),
    notes: [
      'from the start of the sender to the end of both, files in memory (/dev/shm) where there is room; CPU with that of starting',
      'set-up: until the sender says that it is approved (pairlay) or connected (wormhole); goodbye: from its word that all was delivered',
      'ssh: CPU of the receiving side is not seen',
      ...skipped,
      ...failureNotes(outcomes),
    ],
  })
  const target = 512 * MIB
  if (bytes !== target && report.measurements.has('cliVsCroc')) return
  const noteOf = (yardstick: string) => {
    if (!tools.some(({ name }) => name === yardstick)) return `${yardstick} is not here`
    return bytes === target ? undefined : `with ${Math.round(bytes / MIB)} MiB`
  }
  report.goal('cliVsCroc', ratioOf(outcomes, PAIRLAY, CROC, wallOf), noteOf(CROC))
  report.goal('cliVsWormhole', ratioOf(outcomes, PAIRLAY, WORMHOLE, wallOf), noteOf(WORMHOLE))
  report.goal('devicesCpuVsCroc', ratioOf(outcomes, PAIRLAY, CROC, cpuOf), noteOf(CROC))
  const ours = outcomes.find(({ name }) => name === PAIRLAY)?.rounds ?? []
  report.goal('senderMemory', spread(ours.map((r) => r.senderPeak / MIB))?.max, noteOf(PAIRLAY))
}

/** CPU and memory of each side. */
function costCells(tools: readonly Tool[], name: string, rounds: readonly Round[]) {
  const hasRelay = (tools.find((tool) => tool.name === name)?.pids.length ?? 0) > 0
  return {
    senderCpu: spread(rounds.map((r) => r.senderCpu)),
    receiverCpu: spread(rounds.map((r) => r.receiverCpu)),
    relayCpu: hasRelay ? spread(rounds.map((r) => r.relayCpu)) : undefined,
    senderPeak: spread(rounds.map((r) => r.senderPeak / MIB)),
    receiverPeak: spread(rounds.map((r) => r.receiverPeak / MIB)),
    relayPeak: hasRelay ? spread(rounds.map((r) => r.relayPeak / MIB)) : undefined,
  }
}

/** Of three bytes, what it takes to meet and to part. */
async function ofThreeBytes({ plan, report }: SectionContext, tools: readonly Tool[], folder: string): Promise<void> {
  const bytes = 3
  const file = join(folder, 'small')
  makeFile(file, bytes)
  const { smallRounds: rounds, secondsPerSize: seconds } = plan.endToEnd
  let n = 0
  const outcomes = await interleave<Round>(
    tools.map((tool) => {
      const run = () => handOverOnce(tool, file, join(folder, `small-${n++}`), bytes)
      return { name: tool.name, run, warmUp: run }
    }),
    { rounds, seconds },
  )
  report.table({
    title: 'End to end: three bytes, seconds',
    columns: [
      { key: 'wall', head: 'wall', digits: 2 },
      { key: 'toCode', head: 'to the code', digits: 2 },
      { key: 'codeInHand', head: 'code in hand to delivered', digits: 2 },
      { key: 'senderCpu', head: 'sender CPU', digits: 3 },
      { key: 'receiverCpu', head: 'receiver CPU', digits: 3 },
      { key: 'relayCpu', head: 'relay CPU', digits: 3 },
      { key: 'senderPeak', head: 'sender MiB', digits: 0 },
      { key: 'receiverPeak', head: 'receiver MiB', digits: 0 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        wall: spread(each.map(wallOf)),
        toCode: spread(each.flatMap((r) => r.toCode ?? [])),
        codeInHand: spread(each.flatMap((r) => r.codeInHand ?? [])),
        ...costCells(tools, name, each),
      },
    })),
    notes: [
      'delivered: the word of the sender, or the end of both where it has none; a pause for croc, whose code is shown too early, is taken off',
      ...failureNotes(outcomes),
    ],
  })
  const ours = outcomes.find(({ name }) => name === PAIRLAY)?.rounds ?? []
  report.goal('threeBytes', spread(ours.flatMap((r) => r.codeInHand ?? []))?.median)
}

/** From Enter to what a person waits for. */
async function startUp({ plan, report }: SectionContext, tools: readonly Tool[], folder: string): Promise<void> {
  const file = join(folder, 'small')
  const { smallRounds: rounds, secondsPerSize: seconds } = plan.endToEnd
  const outcomes = await interleave(
    tools.flatMap(({ name, program, starts = [] }) =>
      starts.map((start) => {
        const run = () => startOnce(program ?? '', start, file)
        return { name: `${name.split(/[ ,]/)[0]} ${start.what}`, run, warmUp: run }
      }),
    ),
    { rounds, seconds },
  )
  report.table({
    title: 'Starting, seconds',
    columns: [
      { key: 'wall', head: 'wall', digits: 3 },
      { key: 'cpu', head: 'CPU', digits: 3 },
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: { wall: spread(each.map((r) => r.wall)), cpu: spread(each.map((r) => r.cpu)) },
    })),
    notes: failureNotes(outcomes),
  })
  for (const [goal, start] of [
    ['sendStart', 'send, to its code'],
    ['receiveStart', 'receive, to its question'],
  ] as const) {
    const ours = outcomes.find(({ name }) => name === `pairlay ${start}`)?.rounds ?? []
    report.goal(goal, spread(ours.map((r) => r.wall))?.median)
  }
}

async function handOverOnce(tool: HandOverTool, file: string, target: string, bytes: number): Promise<Round> {
  const folder = `${target}.folder`
  try {
    const { result, serverCpu, peakBytes } = await costOf(tool.pids, () => tool.run(file, target))
    const arrived = existsSync(folder) ? join(folder, readdirSync(folder)[0] ?? '') : target
    if (statSync(arrived).size !== bytes) throw new Error('not all of the file arrived')
    return { ...result, relayCpu: serverCpu, relayPeak: peakBytes }
  } finally {
    for (const path of [target, folder]) rmSync(path, { recursive: true, force: true })
  }
}

/** In memory, so that no disk is measured, if two files and a spare one fit. */
export function roomyFolder(bytes: number): string {
  const memory = '/dev/shm'
  if (!existsSync(memory)) return temporaryFolder()
  const { bavail, bsize } = statfsSync(memory)
  return temporaryFolder(bavail * bsize > 3 * bytes ? memory : undefined)
}

/** Bytes that no compression shortens: a random block, numbered. */
export function makeFile(path: string, bytes: number): void {
  const block = randomBytes(MIB)
  const file = openSync(path, 'w')
  try {
    for (let n = 0; n * MIB < bytes; n++) {
      block.writeUInt32BE(n)
      writeSync(file, block, 0, Math.min(MIB, bytes - n * MIB))
    }
  } finally {
    closeSync(file)
  }
}
