import { join } from 'node:path'
import { formatMatchNumber, type Offer, TEXT_TYPE } from '../client/index.ts'
import { shown } from '../node/shown.ts'
import { CliError } from './exit.ts'
import { formatBytes, formatFiles } from './format.ts'
import { type Asker, type OutputOptions, type Places, thingsOf } from './places.ts'
import { neededRate } from './progress.ts'
import type { Terminal } from './terminal.ts'

/** The longest text that is shown rather than saved. */
export const TEXT_MAX_BYTES = 1_048_576
/** Lines of things, or of changed names, that are shown unasked. */
export const MOST_SHOWN = 20
export const NOBODY_ANSWERS = 'There is nobody to answer. Use --yes to accept without asking.'

/** An offer, and the person who decides about it. */
export interface Offered {
  readonly offer: Offer
  readonly matchNumber: string
  readonly terminal: Terminal
  readonly asker: Asker
  readonly expiresInMs: () => number
}

export function isText({ entries: [entry, second] }: Offer): boolean {
  return entry?.type === TEXT_TYPE && !second && entry.size !== undefined && entry.size <= TEXT_MAX_BYTES
}

/** Tells what is offered. */
export function tellOffer({ offer, terminal, expiresInMs }: Offered, asText: boolean): void {
  const { entries, totalBytes } = offer
  const tell = (line: string) => terminal.say(line, 'answer')
  const things = [...thingsOf(entries)]
  const size = totalBytes === undefined ? 'of unknown length' : `(${formatBytes(totalBytes)})`
  const lines = things.map(([name, { isFolder, files, bytes }]) =>
    isFolder
      ? `${shown(name)}/  ${formatFiles(files)}, ${formatBytes(bytes)}`
      : `${shown(name)}  ${formatBytes(bytes)}`,
  )
  const isOne = things.length === 1 && !things[0]?.[1].isFolder
  const what = asText ? 'a text' : isOne ? shown(things[0]?.[0] ?? '') : formatFiles(filesIn(offer))
  terminal.event('offer', { items: entries, totalBytes }, `The sender offers ${what} ${size}${isOne ? '.' : ':'}`)
  if (!isOne) for (const line of lines.slice(0, MOST_SHOWN)) tell(`    ${line}`)
  if (lines.length > MOST_SHOWN) tell(`    and ${lines.length - MOST_SHOWN} more`)
  let [special, hidden] = [0, 0]
  for (const { path, x } of entries) {
    if (x) special++
    // The name of a thing keeps no leading dot here.
    if (/\/\./.test(path)) hidden++
  }
  if (special > 0) tell(`${formatFiles(special)} can be executed.`)
  if (hidden > 0) tell(`${formatFiles(hidden)} would be hidden: the name begins with a dot.`)
  const needed = neededRate(totalBytes, expiresInMs())
  if (needed) tell(`${needed} The sender gives it more time with --ttl.`)
}

/** Lets the person decide. Resolves with a yes. Throws CliError for anything else. */
export async function confirm(
  { offer, matchNumber, asker, terminal }: Offered,
  places: Places | undefined,
  asText: boolean,
  options: OutputOptions,
): Promise<void> {
  if (options.yes) return
  const [name] = places?.names.values() ?? []
  const isOne = places?.names.size === 1
  const where = asText
    ? 'Show it'
    : !places
      ? 'Write it to stdout'
      : isOne
        ? `Save it as ${shown(join(places.directory, name ?? ''))}`
        : `Save them in ${shown(places.directory === '.' ? process.cwd() : places.directory)}`
  const lists = offer.entries.length > 1
  const choices = lists ? '[y/N, l: list]' : '[y/N]'
  for (;;) {
    const question = `${where}, if the sender shows ${formatMatchNumber(matchNumber)}? ${choices} `
    const answer = await asker.ask('accept', question)
    if (answer === undefined) throw new CliError(NOBODY_ANSWERS, 'usage')
    if (lists && /^l$/i.test(answer)) {
      for (const { path, size = 0, dir } of offer.entries) {
        terminal.say(`    ${shown(path)}${dir ? '/' : `  ${formatBytes(size)}`}`, 'answer')
      }
      continue
    }
    if (!/^y(es)?$/i.test(answer)) throw new CliError('Refused. Nothing was saved.', 'not_delivered', 'declined')
    return
  }
}

function filesIn({ entries }: Offer): number {
  let files = 0
  for (const { dir } of entries) if (!dir) files++
  return files
}
