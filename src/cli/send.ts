import { isUtf8 } from 'node:buffer'
import { performance } from 'node:perf_hooks'
import encodeQR from 'qr'
import {
  bytesSource,
  formatMatchNumber,
  type PairingRequest,
  type Receipt,
  Sender,
  type SendProgress,
  type Source,
} from '../client/index.ts'
import { approveReceivers, NOBODY_ANSWERS } from './approve.ts'
import { connectionReport } from './connection.ts'
import { CliError, EXIT } from './exit.ts'
import { type FileSource, fileSources, stdinSource } from './files.ts'
import { formatBytes, formatDuration, formatResult, Meter } from './format.ts'
import { untilInterrupted } from './interrupt.ts'
import { watchPresence } from './presence.ts'
import { failureOf, relayFrom, warnOfPlainHttp } from './relay.ts'
import { shown } from './shown.ts'
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

/** How far it has come. */
interface State {
  readonly relay: string
  connected: boolean
  approved: readonly PairingRequest[]
  /** Aborted when this side leaves. */
  readonly leaving: AbortController
}

/** What marks an item as text to be shown rather than a file to be saved. */
export const TEXT_TYPE = 'application/x-pairlay-text'

/** `pairlay send`: pairs with the receivers, sends, and resolves with the exit code. */
export async function send(paths: readonly string[], options: SendOptions): Promise<number> {
  const relay = relayFrom(options.relay)
  const { sources, stdinIsData } = await sourcesOf(paths, options)
  if (options.receivers > 1 && sources.some(({ once }) => once)) {
    throw new CliError('A pipe can be read once, so it has one receiver. Save it to a file first.', 'usage')
  }
  const terminal = new Terminal({ json: options.json === true, stdinIsData })
  const state: State = { relay, connected: false, approved: [], leaving: new AbortController() }
  try {
    if (!options.yes) terminal.listen()
    warnOfPlainHttp(relay, terminal)
    const sender = await Sender.open({
      relay,
      receivers: options.receivers,
      ttlSeconds: options.ttl,
      onFailedAttempt: ({ wrongCode, timedOut }) => {
        terminal.event('failed_attempt', { wrongCode, timedOut })
        terminal.say(failedAttempts(wrongCode, timedOut))
      },
      ...connectionReport(terminal, state),
    })
    return await untilInterrupted(
      terminal,
      () => {
        state.leaving.abort()
        return sender.cancel()
      },
      async () => {
        try {
          return await pairAndSend(sender, sources, terminal, options, state)
        } finally {
          // Whatever has ended it: nobody shall wait for the deadline.
          await sender.cancel()
        }
      },
    )
  } catch (error) {
    throw failureOf(error, relay, state.approved.length > 0)
  } finally {
    terminal.close()
  }
}

async function sourcesOf(
  paths: readonly string[],
  options: SendOptions,
): Promise<{ sources: Source[]; stdinIsData: boolean }> {
  if (options.text) {
    if (paths.length > 0)
      throw new CliError('With --text the text is asked for, or read from stdin: name no files.', 'usage')
    const text = process.stdin.isTTY ? await askForText(options) : await readAll(process.stdin)
    if (text.length === 0) throw new CliError('There is no text to send.', 'usage')
    if (!isUtf8(text)) throw new CliError('The text is not UTF-8. Send it as it is: pairlay send - < FILE', 'usage')
    return { sources: [bytesSource(text, 'text', TEXT_TYPE)], stdinIsData: !process.stdin.isTTY }
  }
  if (paths.length === 0) throw new CliError('Name the files to send, or - for stdin.', 'usage')
  if (!paths.includes('-')) return { sources: await fileSources(paths), stdinIsData: false }
  if (paths.length > 1)
    throw new CliError('A pipe is sent alone: its length is not known, so nothing can follow it.', 'usage')
  return { sources: [stdinSource()], stdinIsData: true }
}

async function askForText({ json }: SendOptions): Promise<Uint8Array> {
  const terminal = new Terminal({ json: json === true, stdinIsData: false })
  try {
    const text = (await terminal.ask('text', 'Text to send: ')) ?? ''
    if (text.includes('\ufffd')) throw new CliError('What was typed is not UTF-8: set the terminal to it.', 'usage')
    return Buffer.from(text)
  } finally {
    terminal.close()
  }
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of stream) pieces.push(piece)
  return Buffer.concat(pieces)
}

async function pairAndSend(
  sender: Sender,
  sources: readonly Source[],
  terminal: Terminal,
  options: SendOptions,
  state: State,
): Promise<number> {
  // The call to the relay has given a pipe the time to show that it has ended.
  if (!options.yes && !(await terminal.answerable(0))) throw new CliError(NOBODY_ANSWERS, 'usage')
  showCode(sender, sources, terminal, state.relay, options)
  const { receivers, yes } = options
  state.approved = await approveReceivers(sender, terminal, { receivers, yes, leaving: state.leaving.signal })
  if (state.approved.length === 0) {
    throw new CliError(
      'No device was approved, and nothing was sent. For another try, send again with a new code.',
      'not_paired',
    )
  }
  const stopWatching = watchPresence({
    others: state.approved,
    connected: () => state.connected,
    expiresInMs: () => sender.expiresInMs,
    terminal,
  })
  const receipts = await sendAll(sender, sources, terminal).finally(stopWatching)
  await sender.close()
  return receipts.every(({ delivered }) => delivered) ? EXIT.delivered : EXIT.not_delivered
}

function showCode(
  sender: Sender,
  sources: readonly Source[],
  terminal: Terminal,
  relay: string,
  options: SendOptions,
): void {
  terminal.event('code', { code: sender.code, link: sender.link, expiresInMs: Math.round(sender.expiresInMs) })
  if (options.qr && terminal.interactive) terminal.say(`\n${qrCode(sender.link)}`)
  const total = sources.reduce<number | undefined>(
    (sum, { size }) => (size === undefined || sum === undefined ? undefined : sum + size),
    0,
  )
  const what = sources.length === 1 ? shown(sources[0]?.name ?? '') : `${sources.length} files`
  terminal.say(`Sending ${what}${total === undefined ? '' : ` (${formatBytes(total)})`}. On the other device:`)
  terminal.say(`\n    pairlay receive --relay ${relay}\n    Code: ${sender.code}\n`)
  terminal.say(`The code is good for ${formatDuration(sender.expiresInMs)}. Waiting for the other device …`)
}

async function sendAll(sender: Sender, sources: readonly Source[], terminal: Terminal): Promise<Receipt[]> {
  const meters = new Map<string, Meter>()
  let drawnAt = 0
  let warned = false
  const onProgress = ({ matchNumber, bytes, totalBytes }: SendProgress) => {
    const now = performance.now()
    const meter = meters.get(matchNumber) ?? new Meter(totalBytes, now, bytes)
    // Before the first line some time has to pass, or there is no rate to tell.
    if (meters.size === 0) drawnAt = now
    meters.set(matchNumber, meter)
    meter.update(bytes, now)
    if (now - drawnAt < terminal.progressEveryMs) return
    drawnAt = now
    const leftMs = meter.leftMs(now)
    const bytesPerSecond = Math.round(meter.rate(now))
    terminal.event('progress', { matchNumber, bytes, totalBytes, bytesPerSecond, leftMs: leftMs && Math.round(leftMs) })
    if (leftMs !== undefined && leftMs > sender.expiresInMs && !warned) {
      warned = true
      const expiresInMs = Math.round(sender.expiresInMs)
      terminal.event('too_slow', { leftMs: Math.round(leftMs), expiresInMs })
      const needs = `At this rate it takes ${formatDuration(leftMs)} more`
      terminal.say(`${needs}, but the session ends in ${formatDuration(expiresInMs)}: it will not be complete.`)
    }
    const lines = [...meters].map(([number, each]) => `${formatMatchNumber(number)}  ${each.line(now)}`)
    if (terminal.interactive) terminal.progress(lines)
    else for (const line of lines) terminal.say(line)
  }
  terminal.say('Approved. The transfer starts when the other side accepts it.')
  // A code may have waited for a quarter of an hour: a log has grown meanwhile.
  const current = await Promise.all(sources.map((source) => (isFile(source) ? source.again() : source)))
  const receipts = await sender.send(current, { onProgress })
  for (const receipt of receipts) {
    report(receipt, meters.get(receipt.matchNumber)?.elapsedMs(performance.now()) ?? 0, terminal)
  }
  return receipts
}

function isFile(source: Source): source is FileSource {
  return 'again' in source
}

function report(receipt: Receipt, ms: number, terminal: Terminal): void {
  const { matchNumber } = receipt
  if (receipt.delivered) {
    terminal.event('delivered', { matchNumber, bytes: receipt.bytes, ms: Math.round(ms) })
    terminal.say(`Delivered to ${formatMatchNumber(matchNumber)}: ${formatResult(receipt.bytes, ms)}.`)
  } else {
    terminal.event('not_delivered', { matchNumber, code: receipt.error.code })
    terminal.say(`Not delivered to ${formatMatchNumber(matchNumber)}. ${receipt.error.message}`)
  }
}

function failedAttempts(wrongCode: number, timedOut: number): string {
  const devices = (count: number) => (count === 1 ? '1 device' : `${count} devices`)
  const wrong = wrongCode > 0 ? `${devices(wrongCode)} tried a wrong code.` : ''
  const late = timedOut > 0 ? `${devices(timedOut)} did not answer in time.` : ''
  return [wrong, late].filter(Boolean).join(' ')
}

/** A QR code in half blocks, black on white whatever the terminal's colours are. */
function qrCode(text: string): string {
  const modules = encodeQR(text, 'raw', { ecc: 'low', border: 2 })
  const lines: string[] = []
  for (let y = 0; y < modules.length; y += 2) {
    const cells = (modules[y] ?? []).map((upper, x) => {
      const lower = modules[y + 1]?.[x] ?? false
      return upper ? (lower ? '█' : '▀') : lower ? '▄' : ' '
    })
    lines.push(`\u001b[30;107m${cells.join('')}\u001b[0m`)
  }
  return lines.join('\n')
}
