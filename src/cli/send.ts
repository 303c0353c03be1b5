import { formatMatchNumber, type PairingRequest, type Receipt, Sender, type Source, totalOf } from '../client/index.ts'
import { TTL_MAX_SECONDS } from '../protocol/limits.ts'
import { approveReceivers, NOBODY_ANSWERS } from './approve.ts'
import { connectionReport } from './connection.ts'
import { CliError, EXIT } from './exit.ts'
import { formatBytes, formatDuration, formatResult } from './format.ts'
import { untilInterrupted } from './interrupt.ts'
import { watchPresence } from './presence.ts'
import { neededRate, Progress } from './progress.ts'
import { qrCode } from './qr.ts'
import { failureOf, isLoopback, relayFrom, warnOfPlainHttp } from './relay.ts'
import { shown } from './shown.ts'
import { sourcesOf } from './sources.ts'
import { Strangers } from './strangers.ts'
import { Terminal } from './terminal.ts'

export interface SendOptions {
  readonly relay?: string
  readonly receivers: number
  readonly ttl?: number
  readonly text?: boolean
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
  approved: readonly PairingRequest[]
  /** Aborted when this side leaves. */
  readonly leaving: AbortController
}

/** `pairlay send`: pairs with the receivers, sends, and resolves with the exit code. */
export async function send(paths: readonly string[], options: SendOptions): Promise<number> {
  const relay = relayFrom(options.relay)
  const { sources, stdinIsData } = await sourcesOf(paths, options)
  if (options.receivers > 1 && sources.some(({ once }) => once)) {
    throw new CliError('A pipe can be read once, so it has one receiver. Save it to a file first.', 'usage')
  }
  const terminal = new Terminal({ json: options.json === true, stdinIsData })
  const strangers = new Strangers(terminal)
  const leaving = new AbortController()
  const run: Run = { relay, terminal, options, strangers, connected: false, approved: [], leaving }
  try {
    if (!options.yes) terminal.listen()
    warnOfPlainHttp(relay, terminal)
    const sender = await Sender.open({
      relay,
      receivers: options.receivers,
      ttlSeconds: options.ttl,
      onFailedAttempt: strangers.onFailedAttempt,
      onWaiting: strangers.onWaiting,
      onUsedUp: strangers.onUsedUp,
      ...connectionReport(terminal, run),
    })
    return await untilInterrupted(
      terminal,
      () => {
        leaving.abort()
        return sender.cancel()
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
  const receipts = await sendAll(sender, sources, run)
  await sender.close()
  return receipts.every(({ delivered }) => delivered) ? EXIT.delivered : EXIT.not_delivered
}

function showCode(sender: Sender, sources: readonly Source[], { terminal, relay, options }: Run): void {
  terminal.event('code', { code: sender.code, link: sender.link, expiresInMs: Math.round(sender.expiresInMs) })
  if (options.qr && terminal.interactive && !isLoopback(relay)) terminal.say(`\n${qrCode(sender.link)}`)
  const total = totalOf(sources)
  const what = sources.length === 1 ? shown(sources[0]?.name ?? '') : `${sources.length} files`
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
  const { terminal, approved } = run
  const done = new Set<string>()
  const expiresInMs = () => sender.expiresInMs
  const stopWatching = watchPresence({
    others: approved.map((request) => ({
      matchNumber: request.matchNumber,
      get present() {
        return request.present || done.has(request.matchNumber)
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
  const onReceipt = (receipt: Receipt) => {
    done.add(receipt.matchNumber)
    progress.end(receipt.matchNumber)
    report(receipt, terminal)
  }
  const who = approved.length === 1 ? 'when the other side accepts it' : 'for each device when it accepts'
  terminal.say(`Approved. The transfer starts ${who}.`)
  try {
    return await sender.send(sources, { onProgress: (at) => progress.update(at), onReceipt, last: true })
  } finally {
    progress.stop()
    stopWatching()
  }
}

function report(receipt: Receipt, terminal: Terminal): void {
  const { matchNumber } = receipt
  if (receipt.delivered) {
    const { bytes, ms } = receipt
    const line = `Delivered to ${formatMatchNumber(matchNumber)}: ${formatResult(bytes, ms)}.`
    terminal.event('delivered', { matchNumber, bytes, ms: Math.round(ms) }, line)
  } else {
    const { code, message } = receipt.error
    const line = `Not delivered to ${formatMatchNumber(matchNumber)}. ${message}`
    terminal.event('not_delivered', { matchNumber, code }, line)
  }
}
