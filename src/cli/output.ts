import { access, constants } from 'node:fs/promises'
import { dirname } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { ItemInfo, Offer } from '../client/index.ts'
import { CliError } from './exit.ts'
import { exists, isDirectory, pathIn, reasonOf } from './files.ts'
import { formatResult, Meter } from './format.ts'
import { PartFile } from './part-file.ts'
import { shown, shownText } from './shown.ts'
import type { Terminal } from './terminal.ts'

/** The longest text that is shown rather than saved. */
export const TEXT_MAX_BYTES = 65_536

/** Where what arrives goes to. */
export interface OutputOptions {
  readonly output?: string | undefined
  /** The mode of what is saved, or for its owner alone. */
  readonly mode?: number | undefined
  readonly yes?: boolean | undefined
}

/** A file to be: where, and what the sender calls it, when that is another name and nobody here chose this one. */
export interface Target {
  readonly path: string
  readonly was?: string
}

/**
 * What `-o` names, once it is certain that something can be saved there: before anybody is bothered, and not after a long
 * transfer. Asks for another name where one is taken. Throws CliError.
 */
export async function checkedOutput(terminal: Terminal, options: OutputOptions): Promise<string | undefined> {
  const { output } = options
  if (output === '-') return output
  const isOne = output === undefined || (await isDirectory(output))
  const directory = isOne ? (output ?? '.') : directoryOf(output)
  const problem = await problemWith(directory)
  if (problem !== undefined) throw new CliError(problem, 'usage')
  await access(directory, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    const [where, advice] = output === undefined ? ['this directory', ' Name another with -o.'] : [shown(directory), '']
    throw new CliError(`Cannot write into ${where}: ${reasonOf(error)}.${advice}`)
  })
  return isOne ? output : freeName(output, terminal, options)
}

/** Where a file would be. With a slash behind it, a name is that of a directory. */
function directoryOf(path: string): string {
  return /[/\\]$/.test(path) ? path : dirname(path)
}

async function problemWith(directory: string): Promise<string | undefined> {
  if (await isDirectory(directory)) return undefined
  return `${shown(directory.replace(/(?<=.)[/\\]+$/, ''))} is not a directory.`
}

/** The path, or another that the person names, at which a file can be made. Without a person to ask, that is an error. */
async function freeName(path: string, terminal: Terminal, { yes }: OutputOptions): Promise<string> {
  for (let free = path; ; ) {
    const problem = (await exists(free))
      ? `${shown(free)} is there already, and is not overwritten.`
      : await problemWith(directoryOf(free))
    if (problem === undefined) return free
    if (yes || !process.stdin.isTTY) throw new CliError(`${problem} Save elsewhere with -o.`)
    const other = await terminal.ask('name', `${problem} Another name (Enter: stop): `)
    if (!other) throw new CliError('Nothing was saved.', 'not_delivered')
    free = other
  }
}

/** Where the items go. Asks for another name where one is taken; without a person to ask, that is an error. */
export async function targetsFor(
  items: readonly ItemInfo[],
  names: readonly string[],
  terminal: Terminal,
  options: OutputOptions,
): Promise<Target[]> {
  const { output } = options
  const directory = await directoryFor(options)
  if (output !== undefined && directory === undefined) {
    if (names.length === 1) return [{ path: await freeName(output, terminal, options) }]
    throw new CliError(
      `${shown(output)} is not a directory, and there are several files. Name a directory with -o.`,
      'usage',
    )
  }
  const targets: Target[] = []
  for (const [index, name] of names.entries()) {
    const wanted = pathIn(directory, name)
    const path = await freeName(wanted, terminal, options)
    const was = items[index]?.name.normalize('NFC')
    targets.push(was === undefined || was === name || path !== wanted ? { path } : { path, was })
  }
  return targets
}

/** The directory that files go to when `-o` names no file: undefined for this one. */
export async function directoryFor({ output }: OutputOptions): Promise<string | undefined> {
  return output !== undefined && (await isDirectory(output)) ? output : undefined
}

export async function save(
  offer: Offer,
  targets: readonly Target[],
  matchNumber: string,
  terminal: Terminal,
  mode: number | undefined,
): Promise<void> {
  const parts: PartFile[] = []
  const meter = meterFor(offer, matchNumber, terminal)
  try {
    const items = offer.accept({
      onProgress: meter.update,
      beforeReceipt: async () => {
        for (const part of parts) await part.commit()
      },
    })
    for await (const item of items) {
      const part = await PartFile.create(targets[item.index]?.path ?? '', mode)
      parts.push(part)
      for await (const piece of item.stream) await part.write(piece)
    }
  } finally {
    for (const part of parts) await part.discard()
  }
  for (const { path, was } of targets) {
    terminal.event('saved', { path, was })
    const [as, renamed] = was === undefined ? ['', ''] : ['as ', ` (was ${shownText(was)})`]
    terminal.say(`Saved ${as}${shown(path)}${renamed}.`)
  }
  meter.done()
}

export async function pipeOut(offer: Offer, matchNumber: string, terminal: Terminal): Promise<void> {
  const meter = meterFor(offer, matchNumber, terminal)
  for await (const item of offer.accept({ onProgress: meter.update, beforeReceipt: drainStdout })) {
    for await (const piece of item.stream) await writeOut(piece)
  }
  meter.done()
}

export async function showText(offer: Offer, terminal: Terminal): Promise<void> {
  for await (const item of offer.accept()) {
    const bytes = Buffer.from(await new Response(item.stream).arrayBuffer())
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    terminal.event('text', { text })
    // A terminal obeys what it is shown, and a pipe gets it as it is.
    if (terminal.json) continue
    if (process.stdout.isTTY) await writeOut(Buffer.from(shownText(text).replace(/(?<!\n)$/, '\n')))
    else await writeOut(bytes)
  }
}

function meterFor(
  offer: Offer,
  matchNumber: string,
  terminal: Terminal,
): { update: (progress: { bytes: number }) => void; done: () => void } {
  const meter = new Meter(offer.totalBytes, performance.now())
  let drawnAt = performance.now()
  const update = ({ bytes }: { bytes: number }) => {
    const now = performance.now()
    meter.update(bytes, now)
    if (now - drawnAt < terminal.progressEveryMs) return
    drawnAt = now
    const bytesPerSecond = Math.round(meter.rate(now))
    const leftMs = meter.leftMs(now)
    terminal.event('progress', {
      matchNumber,
      bytes,
      totalBytes: offer.totalBytes,
      bytesPerSecond,
      leftMs: leftMs && Math.round(leftMs),
    })
    if (terminal.interactive) terminal.progress([meter.line(now)])
    else terminal.say(meter.line(now))
  }
  const done = () => {
    const ms = meter.elapsedMs(performance.now())
    terminal.event('received', { bytes: meter.bytes, ms: Math.round(ms) })
    terminal.say(`Received ${formatResult(meter.bytes, ms)}. The sender knows.`)
  }
  return { update, done }
}

function writeOut(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) =>
      error ? reject(new CliError('Nobody reads the output any more.')) : resolve(),
    )
  })
}

function drainStdout(): Promise<void> {
  return writeOut(new Uint8Array())
}
