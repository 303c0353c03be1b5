import { join } from 'node:path'
import { formatMatchNumber, type PairedDevice, type Receipt, Sender, type Source, totalOf } from '../client/index.ts'
import type { LeftOut } from '../node/file-sources.ts'
import { shown } from '../node/shown.ts'
import { TransferStore } from '../node/transfer-store.ts'
import { TTL_MAX_SECONDS } from '../protocol/limits.ts'
import { approveReceivers, NOBODY_ANSWERS } from './approve.ts'
import { stateFolder } from './attempts.ts'
import { connectionReport } from './connection.ts'
import { CliError, EXIT } from './exit.ts'
import { reasonOf } from './files.ts'
import { formatBytes, formatDuration, formatResult } from './format.ts'
import { untilInterrupted } from './interrupt.ts'
import { watchPresence } from './presence.ts'
import { checking, neededRate, Progress } from './progress.ts'
import { qrCode } from './qr.ts'
import { failureOf, isLoopback, relayFrom, warnOfPlainHttp } from './relay.ts'
import { sourcesOf } from './sources.ts'
import { Strangers } from './strangers.ts'
import { Terminal } from './terminal.ts'

export interface SendOptions {
  readonly relay?: string
  readonly receivers: number
  readonly ttl?: number
  readonly text?: boolean | string
  readonly name?: string
  readonly yes?: boolean
  readonly json?: boolean
  readonly qr: boolean
}

/** A run of the command. */
interface Run {
  readonly relay: string
  readonly terminal: Terminal
  readonly options: SendOptions
  readonly strangers: Strangers
  connected: boolean
  approved: readonly PairedDevice[]
  /** Aborted when this side leaves. */
  readonly leaving: AbortController
  /** Settles when every offer has its outcome. */
  sending: Promise<unknown>
}

/** How long devices may take to hear that an offer is taken back. */
const WITHDRAWAL_MS = 2_000
/** A session has the time to pair, and then for this rate. */
const PAIRING_SECONDS = 900
const EXPECTED_BYTES_PER_SECOND = 1_000_000
/** Less is not kept at a device whose transfer was cut. */
const KEPT_FROM_BYTES = 1_048_576
const MOST_NAMED = 10

/** `pairlay send`: pairs with the receivers, sends, and resolves with the exit code. */
export async function send(paths: readonly string[], options: SendOptions): Promise<number> {
  const relay = relayFrom(options.relay)
  const { sources, leftOut, stdinIsData } = await sourcesOf(paths, options)
  if (options.receivers > 1 && sources.some(({ once }) => once)) {
    throw new CliError('A pipe can be read once, so it has one receiver. Save it to a file first.', 'usage')
  }
  const terminal = new Terminal({ json: options.json === true, stdinIsData })
  const strangers = new Strangers(terminal)
  const leaving = new AbortController()
  const sending = Promise.resolve()
  const run: Run = { relay, terminal, options, strangers, connected: false, approved: [], leaving, sending }
  try {
    if (!options.yes) terminal.listen()
    warnOfPlainHttp(relay, terminal)
    tellLeftOut(leftOut, terminal)
    const sender = await Sender.open({
      relay,
      receivers: options.receivers,
      ttlSeconds: options.ttl ?? ttlFor(totalOf(sources)),
      onFailedAttempt: strangers.onFailedAttempt,
      onWaiting: strangers.onWaiting,
      onUsedUp: strangers.onUsedUp,
      ...connectionReport(terminal, run),
    })
    return await untilInterrupted(
      terminal,
      async () => {
        // Each device is told that its offer is taken back, and says what it has.
        leaving.abort()
        await Promise.race([run.sending, new Promise((resolve) => setTimeout(resolve, WITHDRAWAL_MS).unref())])
        await sender.cancel()
      },
      // Whatever has ended it: nobody shall wait for the deadline.
      () => pairAndSend(sender, sources, run).finally(() => sender.cancel()),
    )
  } catch (error) {
    throw failureOf(error, relay, run.approved.length > 0)
  } finally {
    strangers.stop()
    terminal.close()
  }
}

async function pairAndSend(sender: Sender, sources: readonly Source[], run: Run): Promise<number> {
  const { terminal, options, strangers, leaving } = run
  const { receivers, yes } = options
  // The call to the relay has given a pipe the time to show that it has ended.
  if (!yes && !(await terminal.answerable(0))) throw new CliError(NOBODY_ANSWERS, 'usage')
  showCode(sender, sources, run)
  run.approved = await approveReceivers(sender, terminal, { receivers, yes, strangers, leaving: leaving.signal })
  strangers.stop()
  if (run.approved.length === 0) {
    throw new CliError(
      'No device was approved, and nothing was sent. For another try, send again with a new code.',
      'not_paired',
    )
  }
  const sending = sendAll(sender, sources, run)
  run.sending = sending.catch(() => {})
  const receipts = await sending
  await sender.close()
  return receipts.every(({ delivered }) => delivered) ? EXIT.delivered : EXIT.not_delivered
}

function showCode(sender: Sender, sources: readonly Source[], { terminal, relay, options }: Run): void {
  terminal.event('code', { code: sender.code, link: sender.link, expiresInMs: Math.round(sender.expiresInMs) })
  if (options.qr && terminal.interactive && !isLoopback(relay)) terminal.say(`\n${qrCode(sender.link)}`)
  const total = totalOf(sources)
  const things = new Set(sources.map(({ name }) => name.split('/', 1)[0] ?? ''))
  const [thing = ''] = things
  const files = sources.filter(({ dir }) => !dir).length
  const isFile = sources.length === 1 && !sources[0]?.dir
  const what = things.size === 1 ? shown(thing) + (isFile ? '' : `/, ${countOf(files)}`) : countOf(files)
  const [where, awaited] =
    options.receivers === 1 ? ['the other device', 'the other device'] : ['each device', `${options.receivers} devices`]
  terminal.say(`Sending ${what}${total === undefined ? '' : ` (${formatBytes(total)})`}. On ${where}:`)
  terminal.say(`\n    pairlay receive --relay ${relay}\n    Code: ${sender.code}\n`)
  const needed = neededRate(total, sender.expiresInMs)
  if (needed) terminal.say(`${needed} A longer --ttl gives it more time.`)
  terminal.say(`The code is good for ${formatDuration(sender.expiresInMs)}. Waiting for ${awaited} …`)
}

/** Sends to all who are approved. Each is told of, and let go, as soon as it has everything. */
async function sendAll(sender: Sender, sources: readonly Source[], run: Run): Promise<Receipt[]> {
  const { terminal, approved, leaving } = run
  const done = new Set<string>()
  const expiresInMs = () => sender.expiresInMs
  const stopWatching = watchPresence({
    others: approved.map((device) => ({
      matchNumber: device.matchNumber,
      get present() {
        return device.present || done.has(device.matchNumber)
      },
    })),
    connected: () => run.connected,
    expiresInMs,
    terminal,
  })
  const progress = new Progress({
    matchNumbers: approved.map(({ matchNumber }) => matchNumber),
    numbered: true,
    expiresInMs,
    advice: (ttl) =>
      ttl > TTL_MAX_SECONDS ? 'Send it in parts.' : `Send it again with --ttl ${ttl}, if the relay grants that.`,
    terminal,
  })
  const totalBytes = totalOf(sources)
  const isKept = sources.every(({ key }) => key !== undefined) && (totalBytes ?? 0) >= KEPT_FROM_BYTES
  const reached = new Map<string, number>()
  const checks = new Map(approved.map(({ matchNumber }) => [matchNumber, checking(matchNumber, terminal)]))
  const onReceipt = (receipt: Receipt) => {
    done.add(receipt.matchNumber)
    progress.end(receipt.matchNumber)
    report(receipt, isKept ? percentOf(reached.get(receipt.matchNumber) ?? 0, totalBytes) : 0, terminal)
  }
  const who = approved.length === 1 ? 'the other side accepts it' : 'each device accepts it'
  terminal.say(`Approved. Waiting until ${who} …`)
  try {
    return await sender.send(sources, {
      transfers: transferStore(terminal),
      onChecking: ({ matchNumber, bytes, totalBytes = 0 }) => checks.get(matchNumber)?.(bytes, totalBytes),
      onAnswer: ({ matchNumber, hasBytes }) => {
        const how = hasBytes > 0 ? `goes on at ${percentOf(hasBytes, totalBytes)} %` : 'accepts'
        terminal.event('answer', { matchNumber, hasBytes }, `${formatMatchNumber(matchNumber)} ${how}.`)
      },
      onProgress: (at) => {
        reached.set(at.matchNumber, at.bytes)
        progress.update(at)
      },
      onSkip: ({ name, reason }) => {
        const why = reason === 'changed' ? 'it changed while it was sent' : 'it cannot be read'
        terminal.event('skipped', { path: name, reason }, `Not sent: ${shown(name)}, because ${why}.`)
      },
      onReceipt,
      signal: leaving.signal,
      last: true,
    })
  } finally {
    progress.stop()
    stopWatching()
  }
}

function transferStore(terminal: Terminal): TransferStore {
  const path = join(stateFolder(), 'transfers.json')
  let told = false
  return new TransferStore(path, (error) => {
    if (!told) terminal.say(`A transfer that is cut begins anew: ${shown(path)}: ${reasonOf(error)}.`)
    told = true
  })
}

/** Tells what became of an offer. `kept`: the percentage that the device has of it, and keeps. */
function report(receipt: Receipt, kept: number, terminal: Terminal): void {
  const { matchNumber } = receipt
  const device = formatMatchNumber(matchNumber)
  if (receipt.delivered) {
    const { bytes, ms, skipped } = receipt
    const without = skipped > 0 ? ` Without ${countOf(skipped)}.` : ''
    const line = `Delivered to ${device}: ${formatResult(bytes, ms)}.${without}`
    terminal.event('delivered', { matchNumber, bytes, ms: Math.round(ms), skipped }, line)
    return
  }
  const { code, message } = receipt.error
  const isFinal = ['declined', 'unsupported', 'unconfirmed', 'too_many'].includes(code)
  const again = kept > 0 && !isFinal ? ` It got to ${kept} %. Send it again: it goes on from there.` : ''
  const what = code === 'unconfirmed' ? 'Not confirmed by' : 'Not delivered to'
  terminal.event('not_delivered', { matchNumber, code }, `${what} ${device}. ${message}${again}`)
}

function tellLeftOut(leftOut: readonly LeftOut[], terminal: Terminal): void {
  const whys = { link: 'a link', special: 'no file', name: 'its name is not UTF-8', unreadable: 'it cannot be read' }
  for (const [index, { path, why }] of leftOut.entries()) {
    terminal.event('left_out', { path, why })
    if (index < MOST_NAMED) terminal.say(`Not sent: ${shown(path)} (${whys[why]}).`)
  }
  const more = leftOut.length - MOST_NAMED
  if (more > 0) terminal.say(`Not sent, too: ${more} more.`)
}

/** How long the session is asked to be, unless a person says. */
function ttlFor(totalBytes: number | undefined): number | undefined {
  if (totalBytes === undefined) return undefined
  return Math.min(TTL_MAX_SECONDS, PAIRING_SECONDS + Math.floor(totalBytes / EXPECTED_BYTES_PER_SECOND))
}

function countOf(files: number): string {
  return files === 1 ? '1 file' : `${files} files`
}

function percentOf(bytes: number, totalBytes: number | undefined): number {
  return totalBytes ? Math.floor((bytes / totalBytes) * 100) : 0
}
