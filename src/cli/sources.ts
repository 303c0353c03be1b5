import { isUtf8 } from 'node:buffer'
import { open, realpath, stat } from 'node:fs/promises'
import { basename, parse, resolve } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { bytesSource, type List, linesOf, type Source, TEXT_TYPE } from '../client/index.ts'
import { type LeftOut, PathSources } from '../node/file-sources.ts'
import { numbered } from '../node/names.ts'
import { shown } from '../node/shown.ts'
import { CliError } from './exit.ts'
import { reasonOf } from './files.ts'
import { TEXT_MAX_BYTES } from './offered.ts'
import { Terminal } from './terminal.ts'

const NAME_IS = '--name is the name of what comes from stdin.'

interface SourceOptions {
  readonly text?: boolean | string | undefined
  readonly name?: string | undefined
  readonly json?: boolean | undefined
}

interface Chosen {
  readonly sources: List<Source>
  readonly leftOut: List<LeftOut>
  /** Answers come from elsewhere than stdin. */
  readonly stdinIsData: boolean
}

/** Returns what a command line sends. Throws CliError. */
export async function sourcesOf(paths: readonly string[], options: SourceOptions): Promise<Chosen> {
  const { text } = options
  const chosen = text !== undefined && text !== false ? await textOf(paths, options) : await filesOf(paths, options)
  try {
    linesOf(chosen.sources)
    return chosen
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const advice = 'Send an archive: tar c PATH … | pairlay send - --name NAME.tar'
    throw new CliError(`This cannot be one transfer: ${shown(error.message)}. ${advice}`, 'usage')
  }
}

async function textOf(paths: readonly string[], options: SourceOptions): Promise<Chosen> {
  const given = typeof options.text === 'string' ? options.text : undefined
  if (paths.length > 0) throw new CliError('With --text a text is sent: name no files.', 'usage')
  if (options.name !== undefined) throw new CliError(NAME_IS, 'usage')
  const { isTTY } = process.stdin
  const text =
    given === undefined ? await (isTTY ? askForText(options) : buffer(process.stdin)) : Buffer.from(requireUtf8(given))
  if (text.length === 0) throw new CliError('There is no text to send.', 'usage')
  if (text.length > TEXT_MAX_BYTES) {
    throw new CliError('This text is longer than 1 MiB. Send a file: pairlay send - --name NAME.txt < FILE', 'usage')
  }
  if (!isUtf8(text)) throw new CliError('The text is not UTF-8. Send it as it is: pairlay send - < FILE', 'usage')
  const sources = [bytesSource(text, 'text', TEXT_TYPE)]
  return { sources, leftOut: [], stdinIsData: given === undefined && !isTTY }
}

async function askForText({ json }: SourceOptions): Promise<Uint8Array> {
  const terminal = new Terminal({ json: json === true, stdinIsData: false })
  try {
    return Buffer.from(requireUtf8((await terminal.ask('text', 'Text to send: ')) ?? ''))
  } finally {
    terminal.close()
  }
}

function requireUtf8(typed: string): string {
  if (typed.includes('\ufffd')) throw new CliError('What was typed is not UTF-8: set the terminal to it.', 'usage')
  return typed
}

async function filesOf(paths: readonly string[], { name }: SourceOptions): Promise<Chosen> {
  if (paths.length === 0) throw new CliError('Name what to send: files, folders, or - for stdin.', 'usage')
  if (!paths.includes('-')) {
    if (name !== undefined) throw new CliError(NAME_IS, 'usage')
    return { ...(await thingsOf(paths)), stdinIsData: false }
  }
  if (paths.length > 1)
    throw new CliError('A pipe is sent alone: its length is not known, so nothing can follow it.', 'usage')
  if (name !== undefined && !isFileName(name)) {
    throw new CliError('The value of --name is no name of a file: without a slash, and of up to 255 bytes.', 'usage')
  }
  // Its length is not known.
  const source: Source = { name: name ?? 'stdin', once: true, open: () => process.stdin }
  return { sources: [source], leftOut: [], stdinIsData: true }
}

function isFileName(name: string): boolean {
  return !/^\.{0,2}$|[/\0\ufffd]/.test(name) && Buffer.byteLength(name) <= 255
}

/** Files and folders, each under a name that no other has. */
async function thingsOf(paths: readonly string[]): Promise<PathSources> {
  const taken = new Set<string>()
  const found = new PathSources()
  for (const path of paths) {
    if (path === '') throw new CliError('A path is empty. Is a variable of the shell unset?', 'usage')
    if (resolve(path) === parse(resolve(path)).root) {
      throw new CliError(`${path} has no name to be sent under. Name folders in it.`, 'usage')
    }
    const thing = basename(resolve(path))
    let unique = thing
    for (let n = 2; taken.has(unique); n++) unique = numbered(thing, n)
    taken.add(unique)
    await addReadable(found, path, unique)
  }
  return found
}

/** Adds a path, which may be a link: a person chose it. Throws CliError for what is neither a file nor a folder. */
async function addReadable(found: PathSources, path: string, name: string): Promise<void> {
  const piped = (is: string) => new CliError(`${shown(path)} ${is}. Pipe it: pairlay send - < …`, 'usage')
  const before = found.sources.length
  try {
    if (!(await found.add(await realTarget(path), name))) throw piped('is not a file')
    const first = found.sources.at(before)
    if (!first || first.name.includes('/') || first.dir) return
    const handle = await open(path)
    try {
      // As files in /proc are.
      const isUnsized = first.size === 0 && (await handle.read(Buffer.alloc(1))).bytesRead > 0
      if (isUnsized) throw piped('has no size, and is not empty')
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (error instanceof CliError) throw error
    const { code = '' } = error as NodeJS.ErrnoException
    // Node gives the bytes of an argument that are not UTF-8 as this character, and cannot say any more which they were.
    const lost = path.includes('\ufffd') && /^ENO/.test(code)
    const why = lost
      ? 'its name is not UTF-8. Send what is in it: pairlay send - < FILE'
      : `${reasonOf(error as NodeJS.ErrnoException)}.`
    throw new CliError(`Cannot read ${shown(path)}: ${why}`, 'usage')
  }
}

/** The path behind links. A pipe in /dev/fd, such as a shell's `<(…)`, has none: it stays as it is. */
async function realTarget(path: string): Promise<string> {
  return realpath(path).catch(async (error) => {
    await stat(path).catch(() => {
      throw error
    })
    return path
  })
}
