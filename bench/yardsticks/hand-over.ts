import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { onPath, programOf, wormhole } from '../harness/cache.ts'
import { end, start, temporaryFolder } from '../harness/children.ts'
import { ROOT } from '../harness/compile.ts'
import { RelayProcess } from '../harness/relay.ts'
import { freePort, listening } from './servers.ts'
import { type TimedProgram, timed } from './timed.ts'

/** Programs that hand a file from one process to another on this machine, as a person would use them. */

export interface HandOver {
  /** Seconds from the start of the sender to the end of both. */
  readonly wall: number
  /** Of these, until the bytes can flow: both are started, have met and agreed. Undefined where nothing tells. */
  readonly setUp: number | undefined
  /** Of these, from the sender's word that all was delivered: goodbyes. Undefined where nothing tells. */
  readonly goodbye: number | undefined
  /** From the start of the sender to its code on the screen, and the CPU-seconds of that. */
  readonly toCode: number | undefined
  readonly toCodeCpu: number | undefined
  /** From the start of the receiver, the code in hand, to the sender's word, or to the end of both where it has none. */
  readonly codeInHand: number | undefined
  readonly senderCpu: number
  readonly receiverCpu: number
  /** Highest resident memory, in bytes. */
  readonly senderPeak: number
  readonly receiverPeak: number
}

export interface HandOverTool {
  /** Servers between the two. */
  readonly pids: readonly number[]
  /** Sends `file` to `target`, which is not there yet. */
  readonly run: (file: string, target: string) => Promise<HandOver>
  /** Moments from Enter to which a person waits, and the program that has them. */
  readonly starts?: readonly Start[]
  readonly program?: string
  readonly stop: () => Promise<void>
}

/** A command of a program, to the line that is `ready`, or to its end. */
interface Start {
  readonly what: string
  readonly arguments: (file: string) => readonly string[]
  readonly ready?: (line: string) => unknown
  /** Keeps its standard input open: it would end. Others take what is open for what they send. */
  readonly asks?: boolean
}

/** Seconds of wall clock and of CPU from Enter to that moment. */
export async function startOnce(program: string, { arguments: given, ready, asks = false }: Start, file: string) {
  const startedAt = performance.now()
  const started = timed(program, given(file), { asks })
  try {
    if (!ready) {
      const { cpu, endedAt } = await started.done
      return { wall: (endedAt - startedAt) / 1000, cpu }
    }
    await started.line((line) => ready(line) || undefined)
    const wall = (performance.now() - startedAt) / 1000
    return { wall, cpu: started.cpu() }
  } finally {
    await started.stop()
  }
}

export type StartTool = () => Promise<HandOverTool | { readonly skipped: string }>

export const pairlay: StartTool = async () => {
  const relay = await RelayProcess.start()
  const cli = fileURLToPath(new URL('packages/cli/bin/pairlay.js', ROOT))
  const common = ['--json', '--yes', '--relay', relay.url]
  const event = (wanted: string) => (line: string) => {
    const parsed: Record<string, unknown> = line.startsWith('{') ? JSON.parse(line) : {}
    return parsed.event === wanted ? parsed : undefined
  }
  return {
    pids: [relay.pid],
    run: (file, target) =>
      handOver(async (begin) => {
        const sender = begin(process.execPath, [cli, 'send', file, ...common])
        const { code } = await sender.line(event('code'))
        const receiver = begin(process.execPath, [cli, 'receive', String(code), ...common, '-o', target])
        return { sender, receiver, flowing: sender.line(event('approved')), delivered: sender.line(event('delivered')) }
      }),
    starts: [
      { what: 'send, to its code', arguments: (file) => [cli, 'send', file, ...common], ready: event('code') },
      {
        what: 'receive, to its question',
        arguments: () => [cli, 'receive', '--json', '--relay', relay.url],
        ready: event('question'),
        asks: true,
      },
      { what: '--version', arguments: () => [cli, '--version'] },
    ],
    program: process.execPath,
    stop: () => relay.end(),
  }
}

export const magicWormhole: StartTool = async () => {
  const found = await wormhole()
  if ('skipped' in found) return found
  const [mailbox, transit] = [await freePort(), await freePort()]
  const twist = join(found.path, 'twist')
  const at = (port: number) => `--port=tcp:${port}:interface=127.0.0.1`
  const cwd = temporaryFolder()
  const servers = [
    await listening(start(twist, ['wormhole-mailbox', at(mailbox)], { cwd }), 'the mailbox server', [mailbox], []),
    await listening(start(twist, ['transitrelay', at(transit)], { cwd }), 'the transit relay', [transit], []),
  ]
  const common = ['--relay-url', `ws://127.0.0.1:${mailbox}/v1`, '--transit-helper', `tcp:127.0.0.1:${transit}`]
  const program = join(found.path, 'wormhole')
  const codeOf = (line: string) => /^\s*wormhole receive (\d+-\S+)/.exec(line)?.[1]
  return {
    pids: servers.flatMap(({ pids }) => pids),
    program,
    starts: [
      {
        what: 'send, to its code',
        arguments: (file) => [...common, 'send', '--no-listen', '--no-qr', file],
        ready: codeOf,
      },
      { what: '--version', arguments: () => ['--version'] },
    ],
    run: (file, target) =>
      handOver(async (begin) => {
        // Without listening both have to go through the relay, as devices behind routers have to.
        const quietly = ['--no-listen', '--hide-progress']
        const sender = begin(program, [...common, 'send', ...quietly, '--no-qr', file])
        const code = await sender.line(codeOf)
        const receiver = begin(program, [...common, 'receive', ...quietly, '--accept-file', '-o', target, code])
        const says = (text: string) => sender.line((line) => line.startsWith(text) || undefined)
        return { sender, receiver, flowing: says('Sending ('), delivered: says('Confirmation received') }
      }),
    stop: async () => {
      for (const { stop } of servers) await stop()
    },
  }
}

/** Its code is on the screen before its relay knows it. A person takes longer than this, which is taken off. */
const CROC_PAUSE_MS = 500

export const croc: StartTool = async () => {
  const found = programOf('croc', 'CROC')
  if ('skipped' in found) return found
  const program = found.path
  const port = await freePort()
  const relay = start(program, ['relay', '--host', '127.0.0.1', '--ports', `${port},${port + 1}`], { group: true })
  await listening(relay, 'croc relay', [port], [])
  // Random bytes do not shrink, and it would try.
  const common = ['--yes', '--no-compress', '--relay', `127.0.0.1:${port}`]
  const send = (file: string) => [...common, 'send', '--no-local', file]
  const codeOf = (line: string) => /Code is: (\S+)/.exec(line)?.[1]
  return {
    pids: [relay.pid ?? 0],
    program,
    starts: [
      { what: 'send, to its code', arguments: send, ready: codeOf },
      { what: '--version', arguments: () => ['--version'] },
    ],
    run: (file, target) =>
      handOver(async (begin, pause) => {
        const folder = `${target}.folder`
        mkdirSync(folder)
        const sender = begin(program, send(file))
        const code = await sender.line(codeOf)
        await pause(CROC_PAUSE_MS)
        // In its arguments other users of the machine could read it, so it takes it from here.
        const receiver = begin(program, [...common, '--out', folder], { CROC_SECRET: code })
        return { sender, receiver }
      }),
    stop: () => end(relay),
  }
}

/** Copies over ssh: a cipher, a TCP connection, no meeting. Every system has it. */
export const ssh: StartTool = async () => {
  const [sshd, keygen, client] = [onPath('sshd'), onPath('ssh-keygen'), onPath('ssh')]
  if ('skipped' in sshd || 'skipped' in keygen || 'skipped' in client) return { skipped: 'not installed' }
  const folder = temporaryFolder()
  const [hostKey, userKey] = [join(folder, 'host'), join(folder, 'user')]
  for (const key of [hostKey, userKey]) spawnSync(keygen.path, ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  const port = await freePort()
  const settings = {
    ListenAddress: '127.0.0.1',
    Port: port,
    HostKey: hostKey,
    AuthorizedKeysFile: `${userKey}.pub`,
    PidFile: 'none',
    StrictModes: 'no',
    UsePAM: 'no',
  }
  const config = join(folder, 'sshd_config')
  writeFileSync(
    config,
    Object.entries(settings)
      .map((each) => `${each.join(' ')}\n`)
      .join(''),
  )
  // Its service would make this folder at boot.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true })
  const server = await listening(start(sshd.path, ['-D', '-e', '-f', config], { group: true }), 'sshd', [port], [])
  const known = [
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    `UserKnownHostsFile=${join(folder, 'known')}`,
    '-o',
    'LogLevel=ERROR',
  ]
  const login = ['-F', 'none', '-i', userKey, '-p', `${port}`, ...known, `${userInfo().username}@127.0.0.1`]
  return {
    // Each connection has processes of its own, which end with it: their CPU is not seen.
    pids: [],
    run: (file, target) =>
      handOver(async (begin) => {
        const script = 'file=$1 target=$2; shift 2; exec "$@" "cat > $target" < "$file"'
        const sender = begin('sh', ['-c', script, 'sh', file, target, client.path, ...login])
        return { sender, receiver: undefined }
      }),
    stop: server.stop,
  }
}

/** Nothing but the bytes. */
export const netcat: StartTool = async () => {
  const nc = onPath('nc')
  if ('skipped' in nc) return nc
  return {
    pids: [],
    run: async (file, target) => {
      const port = await freePort()
      return handOver(async (begin) => {
        const receive = 'exec "$1" -l 127.0.0.1 "$2" > "$3"'
        const receiver = begin('sh', ['-c', receive, 'sh', nc.path, `${port}`, target])
        // A listening nc prints nothing; the sender tries again until it listens.
        const send = 'until "$1" -N 127.0.0.1 "$2" < "$3"; do sleep 0.01; done'
        const sender = begin('sh', ['-c', send, 'sh', nc.path, `${port}`, file])
        return { sender, receiver }
      })
    },
    stop: async () => {},
  }
}

interface Started {
  readonly sender: TimedProgram
  readonly receiver: TimedProgram | undefined
  readonly flowing?: Promise<unknown>
  readonly delivered?: Promise<unknown>
}

type Begin = (command: string, args: readonly string[], env?: Readonly<Record<string, string>>) => TimedProgram
/** Waits for what a person would take, which is no time of the programs. */
type Pause = (ms: number) => Promise<void>

/** The clock runs from here to the end of both. Whatever happens, none of what `work` began is left. */
async function handOver(work: (begin: Begin, pause: Pause) => Promise<Started>): Promise<HandOver> {
  const programs: TimedProgram[] = []
  let pausedMs = 0
  const begunAt: number[] = []
  const begin: Begin = (command, args, env = {}) => {
    const before = programs.at(-1)
    if (before) toCode = { seconds: (performance.now() - startedAt - pausedMs) / 1000, cpu: before.cpu() }
    begunAt.push(performance.now())
    const program = timed(command, args, { env })
    programs.push(program)
    return program
  }
  const pause: Pause = async (ms) => {
    const from = performance.now()
    await delay(ms)
    pausedMs += performance.now() - from
  }
  let toCode: { readonly seconds: number; readonly cpu: number } | undefined
  const startedAt = performance.now()
  try {
    const { sender, receiver, flowing, delivered } = await work(begin, pause)
    const [sent, received, flowingAt, deliveredAt] = await Promise.all([
      sender.done,
      receiver?.done,
      timeOf(flowing),
      timeOf(delivered),
    ])
    const endedAt = Math.max(sent.endedAt, received?.endedAt ?? 0)
    const receiverAt = begunAt[1]
    return {
      wall: (endedAt - startedAt - pausedMs) / 1000,
      setUp: flowingAt && (flowingAt - startedAt - pausedMs) / 1000,
      goodbye: deliveredAt && (endedAt - deliveredAt) / 1000,
      toCode: toCode?.seconds,
      toCodeCpu: toCode?.cpu,
      codeInHand: receiverAt && ((deliveredAt ?? endedAt) - receiverAt) / 1000,
      senderCpu: sent.cpu,
      receiverCpu: received?.cpu ?? 0,
      senderPeak: sent.peakBytes,
      receiverPeak: received?.peakBytes ?? 0,
    }
  } finally {
    for (const program of programs) await program.stop()
  }
}

async function timeOf(moment: Promise<unknown> | undefined): Promise<number | undefined> {
  if (!moment) return undefined
  await moment
  return performance.now()
}
