import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeFolder } from '../harness/children.ts'
import { interleave } from '../harness/interleave.ts'
import type { Section } from '../harness/report.ts'
import { spread } from '../harness/stats.ts'
import { type HandOver, pairlay } from '../yardsticks/hand-over.ts'
import { failureNotes, ratiosOf } from './contenders.ts'
import { makeFile, roomyFolder } from './end-to-end.ts'

const FILE_BYTES = 16 * 1024
const FILES_PER_FOLDER = 100
const FOLDER = 'the folder'
const FILE = 'one file of that size'

const cpuOf = ({ senderCpu, receiverCpu }: HandOver) => senderCpu + receiverCpu
const secondsOf = ({ wall, setUp = 0, goodbye = 0 }: HandOver) => wall - setUp - goodbye

export const folders: Section = {
  name: 'folders',
  about: 'a folder of small files from one command line to another, beside one file of its size',
  run: async ({ plan, report }) => {
    const { files, rounds, seconds } = plan.folders
    const bytes = files * FILE_BYTES
    const at = roomyFolder(2 * bytes)
    const tool = await pairlay()
    if ('skipped' in tool) throw new Error(tool.skipped)
    try {
      makeFile(join(at, 'file'), bytes)
      makeFolder(join(at, 'folder'), files)
      let n = 0
      const handOver = async (what: string, arrived: (target: string) => number): Promise<HandOver> => {
        const target = join(at, `received-${n++}`)
        try {
          const result = await tool.run(join(at, what), target)
          if (arrived(target) !== bytes) throw new Error('not all of it arrived')
          return result
        } finally {
          rmSync(target, { recursive: true, force: true })
        }
      }
      const runFolder = () => handOver('folder', bytesIn)
      const runFile = () => handOver('file', (target) => statSync(target).size)
      const outcomes = await interleave(
        [
          { name: FOLDER, run: runFolder, warmUp: runFolder },
          { name: FILE, run: runFile, warmUp: runFile },
        ],
        { rounds, seconds },
      )
      report.table({
        title: `${files} files of 16 KiB`,
        columns: [
          { key: 'seconds', head: 'seconds', digits: 2 },
          { key: 'rate', head: 'MB/s', digits: 0 },
          { key: 'senderCpu', head: 'sender CPU', digits: 2 },
          { key: 'receiverCpu', head: 'receiver CPU', digits: 2 },
        ],
        rows: outcomes.map(({ name, rounds: each }) => ({
          name,
          cells: {
            seconds: spread(each.map(secondsOf)),
            rate: spread(each.map((round) => bytes / 1e6 / secondsOf(round))),
            senderCpu: spread(each.map((round) => round.senderCpu)),
            receiverCpu: spread(each.map((round) => round.receiverCpu)),
          },
        })),
        notes: ['in memory (/dev/shm) where there is room; CPU with that of starting', ...failureNotes(outcomes)],
      })
      const rate = ratiosOf(outcomes, FILE, FOLDER, secondsOf)
      report.table({
        title: `${FOLDER} ÷ ${FILE}, round by round`,
        columns: [{ key: 'ratio', head: 'ratio', digits: 2 }],
        rows: [
          { name: 'rate', cells: { ratio: rate } },
          { name: 'CPU of both command lines', cells: { ratio: ratiosOf(outcomes, FOLDER, FILE, cpuOf) } },
        ],
        notes: [],
      })
      report.goal('folderVsFile', rate?.median)
    } finally {
      await tool.stop()
      removeFolder(at)
    }
  },
}

function makeFolder(path: string, files: number): void {
  const content = Buffer.alloc(FILE_BYTES, 'content')
  for (let n = 0; n < files; n++) {
    const folder = join(path, String(Math.floor(n / FILES_PER_FOLDER)))
    if (n % FILES_PER_FOLDER === 0) mkdirSync(folder, { recursive: true })
    content.writeUInt32BE(n)
    writeFileSync(join(folder, String(n)), content)
  }
}

function bytesIn(path: string): number {
  const entries = readdirSync(path, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}
