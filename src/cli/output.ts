import { access, constants } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { DeclineReason, ItemInfo, Offer } from '../client/index.ts'
import { CliError } from './exit.ts'
import { exists, isDirectory, reasonOf, unwritten } from './files.ts'
import { formatBytes, formatResult } from './format.ts'
import { PartFile } from './part-file.ts'
import { Progress } from './progress.ts'
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

/** Whoever a person is asked through. */
export type Asker = Pick<Terminal, 'ask'>

/** A file to be: where, and what the sender calls it, when that is another name and nobody here chose this one. */
export interface Target {
  readonly path: string
  readonly was?: string
}

/**
 * Returns what `-o` names, once it is certain that something can be saved there: before anybody is bothered, and not after a long
 * transfer. Asks for another name where one is taken. Throws CliError.
 */
export async function checkedOutput(terminal: Asker, options: OutputOptions): Promise<string | undefined> {
  const { output } = options
  if (output === '-') return output
  // Node gives the bytes of an argument that are not UTF-8 as this character: it would be another name.
  if (output?.includes('\ufffd')) throw new CliError('The value of -o is not UTF-8.', 'usage')
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

/**
 * The path, or another that the person names, at which a file can be made: none of those in `others`, which differ from
 * `path`. Without a person to ask, that is an error.
 */
async function freeName(
  path: string,
  terminal: Asker,
  { yes }: OutputOptions,
  others: readonly string[] = [],
): Promise<string> {
  for (let free = path; ; ) {
    let problem: string | undefined
    if (await exists(free)) problem = `${shown(free)} is there already, and is not overwritten.`
    else if (free !== path && others.some((other) => placeOf(other) === placeOf(free)))
      problem = `${shown(free)} is the name of another of these files.`
    else problem = await problemWith(directoryOf(free))
    if (problem === undefined) return free
    if (yes || !process.stdin.isTTY) throw new CliError(`${problem} Save elsewhere with -o.`)
    const other = await terminal.ask('name', `${problem} Another name (Enter: stop): `)
    if (!other) throw new CliError('Nothing was saved.', 'not_delivered', 'declined')
    free = other
  }
}

/** The same for all names of one file, on a disk that ignores case too. */
function placeOf(path: string): string {
  return resolve(path).toLowerCase()
}

/** Where the items go. Asks for another name where one is taken; without a person to ask, that is an error. */
export async function targetsFor(
  items: readonly ItemInfo[],
  names: readonly string[],
  terminal: Asker,
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
  // Those chosen, and then those still to come.
  const paths = names.map((name) => join(directory ?? '', name))
  for (const [index, name] of names.entries()) {
    const wanted = join(directory ?? '', name)
    const path = await freeName(wanted, terminal, options, paths)
    paths[index] = path
    const was = items[index]?.name.normalize('NFC')
    targets.push(was === undefined || was === name || path !== wanted ? { path } : { path, was })
  }
  return targets
}

/** The directory that files go to when `-o` names no file: undefined for this one. */
export async function directoryFor({ output }: OutputOptions): Promise<string | undefined> {
  return output !== undefined && (await isDirectory(output)) ? output : undefined
}

/** How an offer is taken. */
export interface Taking {
  readonly offer: Offer
  readonly matchNumber: string
  readonly terminal: Terminal
  readonly expiresInMs: () => number
  /** Reports whether the session is over: then the sender cannot learn anything any more. */
  readonly isOver: () => boolean
}

export async function save(taking: Taking, targets: readonly Target[], mode: number | undefined): Promise<void> {
  const parts: PartFile[] = []
  const saved = async () => {
    for (const [index, part] of parts.entries()) {
      await part.commit()
      // At once: whatever happens now, it is there.
      tellSaved(targets[index], taking.terminal)
    }
  }
  try {
    await taken(taking, saved, async (stream, index) => {
      const part = await PartFile.create(targets[index]?.path ?? '', mode)
      parts.push(part)
      for await (const piece of stream) await part.write(piece)
    })
  } finally {
    for (const part of parts) await part.discard()
  }
}

export async function pipeOut(taking: Taking): Promise<void> {
  let written = 0
  try {
    await taken(
      taking,
      () => writeOut(new Uint8Array()),
      async (stream) => {
        for await (const piece of stream) {
          await writeOut(piece)
          written += piece.length
        }
      },
    )
  } catch (error) {
    if (written > 0) taking.terminal.say(`The output is not whole: it ends after ${formatBytes(written)}.`)
    throw error
  }
}

export async function showText(taking: Taking): Promise<void> {
  const { terminal } = taking
  let bytes = Buffer.alloc(0)
  const show = async () => {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    terminal.event('text', { text })
    if (terminal.json) return
    // A terminal obeys what it is shown, and a pipe gets it as it is.
    await writeOut(process.stdout.isTTY ? Buffer.from(shownText(text).replace(/(?<!\n)$/, '\n')) : bytes)
  }
  const read = async (stream: ReadableStream<Uint8Array>) => {
    bytes = Buffer.from(await new Response(stream).arrayBuffer())
  }
  await taken(taking, show, read, 'text')
}

/** Takes the items of an offer, tells how far it is, and what the sender knows in the end. A text speaks for itself. */
async function taken(
  { offer, matchNumber, terminal, expiresInMs, isOver }: Taking,
  beforeReceipt: () => Promise<void>,
  takeItem: (stream: ReadableStream<Uint8Array>, index: number) => Promise<void>,
  what: 'text' | 'data' = 'data',
): Promise<void> {
  const startedAt = performance.now()
  let endedAt = startedAt
  let bytes = 0
  const progress = new Progress({
    matchNumbers: [matchNumber],
    numbered: false,
    expiresInMs,
    advice: (ttl) => `The sender can send it again with --ttl ${ttl}.`,
    terminal,
  })
  progress.update({ matchNumber, bytes, totalBytes: offer.totalBytes })
  try {
    const items = offer.accept({
      onProgress: (at) => {
        bytes = at.bytes
        progress.update({ matchNumber, ...at })
      },
      beforeReceipt: async () => {
        progress.stop()
        endedAt = performance.now()
        await beforeReceipt()
      },
    })
    for await (const item of items) {
      await takeItem(item.stream, item.index).catch(async (error: unknown) => {
        // Here: once the loop is left, the sender has been told no more than that it failed.
        await offer.decline(reasonToDecline(error))
        throw error
      })
    }
  } finally {
    progress.stop()
  }
  const ms = endedAt - startedAt
  const { confirmed } = offer
  const doubt = isOver() ? 'But the sender does not know.' : 'Whether the sender knows is not certain.'
  const line = `Received ${formatResult(bytes, ms)}. ${confirmed ? 'The relay says that the sender knows.' : doubt}`
  terminal.event('received', { bytes, ms: Math.round(ms), confirmed }, what === 'text' && confirmed ? undefined : line)
}

/** Returns the reason that the sender is told for a failure here. */
export function reasonToDecline(error: unknown): DeclineReason {
  const code = error instanceof CliError ? error.code : undefined
  return code === 'declined' || code === 'no_space' ? code : 'failed'
}

function tellSaved(target: Target | undefined, terminal: Terminal): void {
  if (!target) return
  const { path, was } = target
  const [as, renamed] = was === undefined ? ['', ''] : ['as ', ` (was ${shownText(was, '')})`]
  terminal.event('saved', { path, was }, `Saved ${as}${shown(path)}${renamed}.`)
}

function writeOut(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => {
      if (!error) return resolve()
      const failure = unwritten('write the output', error)
      reject(failure.code === 'no_space' ? failure : new CliError('Nobody reads the output any more.'))
    })
  })
}
