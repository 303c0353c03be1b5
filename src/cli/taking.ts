import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { type IncomingItem, indexed, type Offer, PairingError, save } from '../client/index.ts'
import { partPath } from '../node/local-paths.ts'
import { PartialFolder } from '../node/partial-folder.ts'
import { shown, shownName, shownText } from '../node/shown.ts'
import { CliError } from './exit.ts'
import { unwritten } from './files.ts'
import { formatBytes, formatResult, forShell, percentOf } from './format.ts'
import { confirm, isText, MOST_SHOWN, type Offered, tellOffer } from './offered.ts'
import { type OutputOptions, type Places, placedBytes, placesFor, requireRoom } from './places.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

/** How long the ack of a receipt is waited for. */
const CONFIRMED_WITHIN_MS = 10_000

/** How an offer is taken. */
export interface Taking extends Offered {
  /** Something has moved. */
  readonly onMove: () => void
  /** Reports whether the session is over: then the sender cannot learn anything any more. */
  readonly isOver: () => boolean
  /** Aborted when this side leaves. */
  readonly signal: AbortSignal
}

/** Takes one offer, or declines it and says why. */
export async function takeOffer(taking: Taking, options: OutputOptions): Promise<void> {
  const { offer, terminal, asker } = taking
  const asText = isText(offer) && options.output === undefined
  const toPipe = options.output === '-'
  let isBegun = false
  tellOffer(taking, asText)
  try {
    if (toPipe && offer.entries.length > 1) {
      throw new CliError('Several files do not fit into one pipe. Receive them into a directory with -o.', 'usage')
    }
    const places = asText || toPipe ? undefined : await placesFor(offer.entries, asker, options)
    const before = places ? await requireRoom(offer, places) : 0
    if (before > 0) terminal.say(`${percentOf(before, offer.totalBytes ?? 0)} % of it is here from before.`, 'answer')
    await confirm(taking, places, asText, options)
    isBegun = true
    if (asText) await showText(taking)
    else if (places) await saveOffer(taking, places, options)
    else await pipeOut(taking)
  } catch (error) {
    if (offer.isUndecided) offer.decline(noOf(error))
    if (error instanceof PairingError && error.code === 'cancelled') {
      terminal.event('withdrawn', { code: error.code })
      const line = 'The sender took its offer back. Nothing was saved.'
      if (!isBegun) throw new CliError(line, 'not_delivered', error.code)
    }
    throw error
  }
}

/** The word for the sender: a person's no, or why it cannot be taken here. */
function noOf(error: unknown): 'declined' | 'no_space' | 'failed' {
  const { code } = error as { code?: unknown }
  return code === 'declined' || code === 'no_space' ? code : 'failed'
}

async function saveOffer(taking: Taking, places: Places, options: OutputOptions): Promise<void> {
  const { offer, terminal } = taking
  const { directory, names, was } = places
  let placed = 0
  let unnamed = 0
  const tellUnnamed = () => {
    if (unnamed > 0) terminal.say(`Saved ${unnamed} more.`)
    unnamed = 0
  }
  const folder = new PartialFolder({
    directory,
    mode: options.mode,
    overwrite: options.overwrite,
    nameOf: (thing) => names.get(thing) ?? thing,
    // At once: whatever happens now, it is there.
    onPlaced: (name) => {
      const isNamed = ++placed <= MOST_SHOWN || was.has(name)
      if (!isNamed) unnamed++
      tellSaved(join(directory, name), was.get(name), isNamed, terminal)
      if (placed === names.size) tellUnnamed()
    },
  })
  const { entries } = offer
  const token = offer.resumes(await folder.tokens()) ?? offer.token
  tellRenamed(offer, places, terminal)
  try {
    await taken(taking, (callbacks) => save(offer, folder, callbacks))
    for (const [entry, reason] of offer.skipped) {
      const { path = '' } = entries.at(entry) ?? {}
      const why = reason === 'changed' ? 'it changed while it was sent' : 'the sender cannot read it'
      terminal.event('skipped', { path, reason }, `Not received: ${shown(path)}, because ${why}.`)
    }
  } catch (error) {
    tellUnnamed()
    await tellKept(offer, places, token, terminal)
    if (error instanceof PairingError || error instanceof CliError) throw error
    const failure = error as NodeJS.ErrnoException
    throw unwritten(`save ${shown(placeOf(failure, directory))}`, failure)
  }
}

/** Place that could not be written, as a person knows it: temporary names say nothing. */
export function placeOf({ path = '' }: NodeJS.ErrnoException, directory: string): string {
  return path === '' || /\.(part|lock)$/.test(path) ? `into ${directory === '.' ? process.cwd() : directory}` : path
}

function tellSaved(path: string, was: string | undefined, isNamed: boolean, terminal: Terminal): void {
  const [as, renamed] = was === undefined ? ['', ''] : ['as ', ` (was ${shownName(was)})`]
  terminal.event('saved', { path, was }, isNamed ? `Saved ${as}${shown(path)}${renamed}.` : undefined)
}

/** Tells which names below the chosen things are others here. */
function tellRenamed({ entries }: Offer, { directory, paths }: Places, terminal: Terminal): void {
  let renamed = 0
  for (const [index, { path }] of indexed(entries)) {
    const local = paths.at(index) ?? ''
    const [, ...theirs] = path.split('/')
    const [, ...mine] = local.split(/[/\\]/)
    if (theirs.join('/').normalize('NFC') === mine.join('/')) continue
    const line = ++renamed <= MOST_SHOWN ? `${shownName(path)} is called ${shown(local)} here.` : undefined
    terminal.event('renamed', { path: join(directory, local), was: path }, line)
  }
  if (renamed > MOST_SHOWN) terminal.say(`${renamed - MOST_SHOWN} more names were changed.`)
}

/** Tells what is kept of an offer that was cut, and how it is removed. */
async function tellKept({ totalBytes }: Offer, places: Places, token: string, terminal: Terminal): Promise<void> {
  const [first = '', ...others] = places.names.values()
  const path = join(places.directory, partPath(first, token))
  const bytes = await placedBytes(places, token)
  if (bytes === 0 || !(await lstat(path).catch(() => undefined))) return
  const share = totalBytes ? `${percentOf(bytes, totalBytes)} % of it` : formatBytes(bytes)
  const parts =
    others.length === 0
      ? forShell(shown(path))
      : `${forShell(shown(join(places.directory, '/')))}*${partPath('', token)}`
  const line = `${share} is kept here. Sent again, it goes on from there. To remove it:\n  rm -r ${parts}`
  terminal.event('kept', { path, bytes }, line)
}

async function pipeOut(taking: Taking): Promise<void> {
  let written = 0
  try {
    await takenItem(
      taking,
      async (item) => {
        for await (const piece of item.stream) {
          await writeOut(piece)
          written += piece.length
        }
      },
      () => writeOut(new Uint8Array()),
    )
  } catch (error) {
    if (written > 0) taking.terminal.say(`The output is not whole: it ends after ${formatBytes(written)}.`, 'always')
    throw error
  }
}

async function showText(taking: Taking): Promise<void> {
  const { terminal } = taking
  let bytes = Buffer.alloc(0)
  const show = async () => {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
    terminal.event('text', { text })
    if (terminal.json) return
    // A terminal obeys what it is shown, and a pipe gets it as it is.
    await writeOut(process.stdout.isTTY ? Buffer.from(shownText(text).replace(/(?<!\n)$/, '\n')) : bytes)
  }
  const read = async (item: IncomingItem) => {
    bytes = Buffer.from(await new Response(item.stream).arrayBuffer())
  }
  await takenItem(taking, read, show, 'text')
}

/** Takes the only item of an offer. */
function takenItem(
  taking: Taking,
  take: (item: IncomingItem) => Promise<void>,
  finish: () => Promise<void>,
  what?: 'text',
): Promise<void> {
  return taken(
    taking,
    async (callbacks) => {
      for await (const item of taking.offer.accept({ ...callbacks, beforeReceipt: finish })) {
        if (item.dir) continue
        await take(item).catch((error: unknown) => {
          if (error instanceof CliError && error.code === 'no_space') taking.offer.stop('no_space')
          throw error
        })
      }
    },
    what,
  )
}

type Callbacks = Pick<NonNullable<Parameters<Offer['accept']>[0]>, 'onProgress' | 'onChecking' | 'signal'>

/** Takes an offer, tells how far it is, and what the sender knows in the end. A text speaks for itself. */
async function taken(
  { offer, matchNumber, terminal, expiresInMs, onMove, isOver, signal }: Taking,
  take: (callbacks: Callbacks) => Promise<unknown>,
  what: 'text' | 'data' = 'data',
): Promise<void> {
  const startedAt = performance.now()
  let before = 0
  let bytes = 0
  let isComparing = false
  const progress = new Progress({
    matchNumbers: [matchNumber],
    numbered: false,
    expiresInMs,
    advice: (ttl) => `The sender can send it again with --ttl ${ttl}.`,
    onMove,
    terminal,
  })
  progress.answer(matchNumber, 0)
  try {
    await take({
      signal,
      onChecking: (bytes, totalBytes) => {
        isComparing = true
        progress.check({ matchNumber, bytes, totalBytes })
      },
      onProgress: (at) => {
        if (isComparing) {
          before = at.bytes
          tellResumed(at.bytes, at.totalBytes ?? 0, terminal)
        }
        isComparing = false
        bytes = at.bytes
        progress.update({ matchNumber, ...at })
      },
    })
  } finally {
    progress.stop()
  }
  const ms = performance.now() - startedAt
  const patience = new Promise<boolean>((resolve) => setTimeout(resolve, CONFIRMED_WITHIN_MS, false).unref())
  const confirmed = await Promise.race([offer.confirmed, patience])
  const doubt = isOver() ? 'But the sender does not know.' : 'Whether the sender knows is not certain.'
  const line = `Received ${formatResult(bytes - before, ms)}. ${confirmed ? 'The relay says that the sender knows.' : doubt}`
  terminal.event('received', { bytes, ms: Math.round(ms), confirmed }, what === 'text' && confirmed ? undefined : line)
}

function tellResumed(bytes: number, totalBytes: number, terminal: Terminal): void {
  const isSame = bytes > 0
  const line = isSame ? `Going on at ${percentOf(bytes, totalBytes)} %.` : 'It has changed since: beginning anew.'
  terminal.event('resumed', { bytes }, line)
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
