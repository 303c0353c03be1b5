import { access, constants, lstat, mkdir, statfs } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join } from 'node:path'
import type { Entry, List, Offer } from '../client/index.ts'
import { FreeNames, keyOf, localPaths, partPaths } from '../node/local-paths.ts'
import { numbered, safeName } from '../node/names.ts'
import { PartialFolder, partialsOf } from '../node/partial-folder.ts'
import { shown } from '../node/shown.ts'
import { CliError } from './exit.ts'
import { exists, isDirectory, reasonOf } from './files.ts'
import { formatBytes } from './format.ts'
import type { Terminal } from './terminal.ts'

/** Where what arrives goes to. */
export interface OutputOptions {
  /** A file, a directory, or `-` for stdout. */
  readonly output?: string | undefined
  readonly into?: string | undefined
  readonly rename?: boolean | undefined
  readonly overwrite?: boolean | undefined
  /** The mode of what is saved, or for its owner alone. */
  readonly mode?: number | undefined
  readonly yes?: boolean | undefined
}

/** Whoever a person is asked through. */
export type Asker = Pick<Terminal, 'ask'>

/** Where an offer is saved. */
export interface Places {
  readonly directory: string
  /** By the sender's name of a thing, the name that it gets. */
  readonly names: ReadonlyMap<string, string>
  /** By a name that nobody here chose, the sender's, where that is another one. */
  readonly was: ReadonlyMap<string, string>
  /** By entry, where it goes, relative to the directory. */
  readonly paths: List<string>
}

/**
 * Makes certain that something can be saved where the options say: before anybody is bothered, and not after a long transfer.
 * Returns the options, with another name for `-o` where a person chose one. Throws CliError.
 */
export async function checkedOutput<O extends OutputOptions>(terminal: Asker, options: O): Promise<O> {
  const { output, into } = options
  if (output === '-') return options
  // Node gives the bytes of an argument that are not UTF-8 as this character: it would be another name.
  for (const [option, path] of [
    ['-o', output],
    ['--into', into],
  ]) {
    if (path?.includes('\ufffd')) throw new CliError(`The value of ${option} is not UTF-8.`, 'usage')
  }
  if (into !== undefined) {
    await mkdir(into, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw new CliError(`${shown(into)} is not a directory.`, 'usage')
      throw new CliError(`Cannot make ${shown(into)}: ${reasonOf(error)}.`, 'usage')
    })
  }
  const directory = await directoryOf(options)
  const problem = await problemWith(directory)
  if (problem !== undefined) {
    const isMissing = !(await exists(withoutSlash(directory)))
    const advice = isMissing && (await isDirectory(dirname(directory))) ? ' --into makes it.' : ''
    throw new CliError(`${problem}${advice}`, 'usage')
  }
  await access(directory, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    const isHere = output === undefined && into === undefined
    const [where, advice] = isHere ? ['this directory', ' Name another with -o.'] : [shown(directory), '']
    throw new CliError(`Cannot write into ${where}: ${reasonOf(error)}.${advice}`)
  })
  if (output === undefined || (await isDirectory(output))) return options
  return { ...options, output: await freePath(output, false, terminal, options) }
}

/** The directory that things go into. With a slash behind it, a name is that of a directory. */
async function directoryOf({ output, into }: OutputOptions): Promise<string> {
  if (output === undefined) return into ?? '.'
  return (await isDirectory(output)) || /[/\\]$/.test(output) ? output : dirname(output)
}

async function problemWith(directory: string): Promise<string | undefined> {
  if (await isDirectory(directory)) return undefined
  const path = withoutSlash(directory)
  return (await exists(path)) ? `${shown(path)} is not a directory.` : `There is no directory ${shown(path)}.`
}

function withoutSlash(path: string): string {
  return path.replace(/(?<=.)[/\\]+$/, '')
}

/**
 * Returns where the entries go. Asks for another name where one is taken, and proposes one; without a person to ask, that is
 * an error. Throws CliError.
 */
export async function placesFor(entries: List<Entry>, asker: Asker, options: OutputOptions): Promise<Places> {
  const { output } = options
  const directory = await directoryOf(options)
  const isNamed = output !== undefined && !(await isDirectory(output))
  const things = thingsOf(entries)
  if (isNamed && things.size > 1) {
    throw new CliError(
      `${shown(output)} is not a directory, and there are several files. Name a directory with -o.`,
      'usage',
    )
  }
  const names = new Map<string, string>()
  const was = new Map<string, string>()
  const chosen = new FreeNames()
  const coming = new Map<string, number>()
  for (const thing of things.keys()) count(coming, safeName(thing), 1)
  const isTaken = (name: string) => chosen.has(name) || coming.has(keyOf(name))
  for (const [thing, { isFolder }] of things) {
    const safe = safeName(thing)
    count(coming, safe, -1)
    const wanted = join(directory, isNamed ? basename(output) : chosen.take(safe))
    const path = await freePath(wanted, isFolder, asker, options, isTaken)
    if (dirname(path) !== dirname(wanted)) {
      throw new CliError('Everything of one offer goes into one directory: name it with --into.', 'usage')
    }
    const name = basename(path)
    if (path !== wanted) chosen.take(name)
    names.set(thing, name)
    if (!isNamed && (path === wanted || options.rename) && name !== thing.normalize('NFC')) was.set(name, thing)
  }
  return { directory, names, was, paths: pathsOf(entries, names) }
}

function pathsOf(entries: List<Entry>, names: ReadonlyMap<string, string>): List<string> {
  try {
    return localPaths(entries, (thing) => names.get(thing) ?? safeName(thing))
  } catch (error) {
    if (error instanceof RangeError) throw new CliError(`Cannot save it: ${error.message}.`)
    throw error
  }
}

/**
 * Returns how many bytes of an offer are here from before. Throws CliError `no_space` where the rest does not fit. A disk that
 * says nothing about its room may have some.
 */
export async function requireRoom(offer: Offer, places: Places): Promise<number> {
  const { directory } = places
  const token = offer.resumes(await new PartialFolder({ directory }).tokens())
  const before = token ? await placedBytes(places, token) : 0
  const disk = await statfs(directory).catch(() => undefined)
  const rest = (offer.totalBytes ?? 0) - before
  if (!disk || disk.bavail * disk.bsize >= rest) return before
  const [takes, free] = [rest, disk.bavail * disk.bsize].map(formatBytes)
  const line = `There is no room for it: it takes ${takes}, and ${free} are free on this disk. Nothing was saved.`
  throw new CliError(line, 'not_delivered', 'no_space')
}

/** Bytes that are there of a partial. */
export async function placedBytes({ directory, names, paths }: Places, token: string): Promise<number> {
  const toPart = partPaths(token)
  // Partials of one thing go on under another name than before.
  const [begun = ''] = names.size === 1 ? await partialsOf(directory, token) : []
  let bytes = 0
  for (const path of paths) {
    const part = begun ? join(begun, ...path.split(/[/\\]/).slice(1)) : toPart(path)
    const info = await lstat(join(directory, part)).catch(() => undefined)
    if (info?.isFile()) bytes += info.size
  }
  return bytes
}

/** Things that the sender chose, by name: how many files each has, and their bytes. */
export function thingsOf(
  entries: List<Entry>,
): ReadonlyMap<string, { isFolder: boolean; files: number; bytes: number }> {
  const things = new Map<string, { isFolder: boolean; files: number; bytes: number }>()
  for (const { path, size = 0, dir } of entries) {
    const [thing = path, below] = path.split('/', 2)
    const { files = 0, bytes = 0 } = things.get(thing) ?? {}
    const isFolder = below !== undefined || dir === true
    things.set(thing, { isFolder, files: files + (dir ? 0 : 1), bytes: bytes + size })
  }
  return things
}

/** Counts a name, however it is written, and forgets it at 0. */
function count(names: Map<string, number>, name: string, change: 1 | -1): void {
  const key = keyOf(name)
  const left = (names.get(key) ?? 0) + change
  if (left > 0) names.set(key, left)
  else names.delete(key)
}

/** The path, or another one, at which something can be made, and whose name is not taken by another thing of the offer. */
async function freePath(
  path: string,
  isFolder: boolean,
  asker: Asker,
  { yes, rename, overwrite }: OutputOptions,
  isTaken: (name: string) => boolean = () => false,
): Promise<string> {
  for (let free = path; ; ) {
    let problem: string | undefined
    let advice = 'or use --rename'
    if (free !== path && isTaken(basename(free))) problem = `${shown(free)} is the name of another of these files.`
    else if (await exists(free)) {
      const cannot = isFolder || (await isDirectory(free))
      if (overwrite && !cannot) return free
      if (rename) return nextFree(free, isTaken)
      problem = `${shown(free)} is there already, and ${cannot && overwrite ? 'folders are' : 'is'} not overwritten.`
      advice = cannot ? 'or use --rename' : 'or use --rename or --overwrite'
    } else problem = await problemWith(/[/\\]$/.test(free) ? free : dirname(free))
    if (problem === undefined) return free
    if (yes || !process.stdin.isTTY) throw new CliError(`${problem} Save elsewhere with -o, ${advice}.`)
    const proposed = await nextFree(path, isTaken)
    const answer = await asker.ask('name', `${problem} Another name (Enter: ${shown(basename(proposed))}): `)
    if (answer === undefined) throw new CliError('Nothing was saved.', 'not_delivered', 'declined')
    free = answer === '' ? proposed : isAbsolute(answer) ? answer : join(dirname(path), answer)
  }
}

async function nextFree(path: string, isTaken: (name: string) => boolean): Promise<string> {
  for (let n = 2; ; n++) {
    const free = join(dirname(path), numbered(basename(path), n))
    if (!isTaken(basename(free)) && !(await exists(free))) return free
  }
}
