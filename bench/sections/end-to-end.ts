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
} from '../yardsticks/hand-over.ts'
import { failureNotes, ratioOf } from './contenders.ts'

const MIB = 1024 * 1024
const PAIRLAY = 'pairlay send / receive'
const WORMHOLE = 'magic-wormhole, through its relay'

/** To add a tool: an entry, and a start function. */
const TOOLS: readonly { readonly name: string; readonly start: StartTool }[] = [
  { name: PAIRLAY, start: pairlay },
  { name: WORMHOLE, start: magicWormhole },
  { name: 'croc, through its relay', start: croc },
  { name: 'ssh (no meeting, no relay)', start: ssh },
  { name: 'nc (no cipher either)', start: netcat },
]

type Round = HandOver & { readonly relayCpu: number }

export const endToEnd: Section = {
  name: 'end-to-end',
  about: 'a file from one command line to another: wall time, and where it goes',
  run: async (context) => {
    const folder = roomyFolder(Math.max(...context.plan.endToEnd.bytes))
    const tools: ({ readonly name: string } & HandOverTool)[] = []
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
    } finally {
      for (const { stop } of tools) await stop()
      removeFolder(folder)
    }
  },
}

async function ofSize(
  { plan, report }: SectionContext,
  tools: readonly ({ readonly name: string } & HandOverTool)[],
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
    ],
    rows: outcomes.map(({ name, rounds: each }) => ({
      name,
      cells: {
        wall: spread(each.map((r) => r.wall)),
        setUp: spread(each.flatMap((r) => r.setUp ?? [])),
        goodbye: spread(each.flatMap((r) => r.goodbye ?? [])),
        senderCpu: spread(each.map((r) => r.senderCpu)),
        receiverCpu: spread(each.map((r) => r.receiverCpu)),
        relayCpu: tools.find((tool) => tool.name === name)?.pids.length
          ? spread(each.map((r) => r.relayCpu))
          : undefined,
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
  const note = bytes === target ? undefined : `with ${Math.round(bytes / MIB)} MiB`
  if (bytes === target || !report.measurements.has('cliVsWormhole')) {
    report.goal(
      'cliVsWormhole',
      ratioOf(outcomes, PAIRLAY, WORMHOLE, (round) => round.wall),
      note,
    )
  }
  report.goal('browserPage', undefined, 'there is no page to measure here')
}

async function handOverOnce(tool: HandOverTool, file: string, target: string, bytes: number): Promise<Round> {
  const folder = `${target}.folder`
  try {
    const { result, serverCpu } = await costOf(tool.pids, () => tool.run(file, target))
    const arrived = existsSync(folder) ? join(folder, readdirSync(folder)[0] ?? '') : target
    if (statSync(arrived).size !== bytes) throw new Error('not all of the file arrived')
    return { ...result, relayCpu: serverCpu }
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
