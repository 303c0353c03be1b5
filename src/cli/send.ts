import { hasOnce, indexed, type List, type PairedDevice, Sender, type Source, totalOf } from '../client/index.ts'
import type { LeftOut } from '../node/file-sources.ts'
import { shown } from '../node/shown.ts'
import { TTL_MAX_SECONDS } from '../protocol/limits.ts'
import { accessTokenFrom } from './access-token.ts'
import { approveReceivers, NOBODY_ANSWERS } from './approve.ts'
import { connectionReport } from './connection.ts'
import { deliver } from './deliveries.ts'
import { CliError, EXIT } from './exit.ts'
import { untilInterrupted } from './interrupt.ts'
import { Patience } from './patience.ts'
import { hasPage } from './qr.ts'
import { failureOf, relayFrom, warnOfPlainHttp } from './relay.ts'
import { showCode } from './shown-code.ts'
import { sourcesOf } from './sources.ts'
import { Strangers } from './strangers.ts'
import { type Manner, Terminal } from './terminal.ts'

export interface SendOptions extends Manner {
  readonly relay?: string
  readonly accessTokenFile?: string
  readonly receivers: number
  readonly ttl?: number
  readonly text?: boolean | string
  readonly name?: string
  readonly qr: boolean
  /** Seconds in which something has to happen. */
  readonly timeout?: number
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
  /** Ends everything, after the devices were told. */
  leave: () => Promise<void>
}

/** How long devices may take to hear that an offer is taken back. */
const WITHDRAWAL_MS = 2_000
/** A session has the time to pair, and then for this rate. */
const PAIRING_SECONDS = 900
const EXPECTED_BYTES_PER_SECOND = 1_000_000
const MOST_NAMED = 10

/** `pairlay send`: pairs with the receivers, sends, and resolves with the exit code. */
export async function send(paths: readonly string[], options: SendOptions): Promise<number> {
  const relay = relayFrom(options.relay)
  const accessToken = await accessTokenFrom(options.accessTokenFile, relay)
  const { sources, leftOut, stdinIsData } = await sourcesOf(paths, options)
  if (options.receivers > 1 && hasOnce(sources)) {
    throw new CliError('A pipe can be read once, so it has one receiver. Save it to a file first.', 'usage')
  }
  const terminal = new Terminal({ ...options, stdinIsData })
  const strangers = new Strangers(terminal)
  const leaving = new AbortController()
  const waits = { sending: Promise.resolve(), leave: async () => leaving.abort() }
  const run: Run = { relay, terminal, options, strangers, connected: false, approved: [], leaving, ...waits }
  try {
    if (!options.yes) terminal.listen()
    warnOfPlainHttp(relay, terminal)
    tellLeftOut(leftOut, terminal)
    const page = options.qr && terminal.interactive && hasPage(relay)
    const sender = await Sender.open({
      relay,
      accessToken,
      receivers: options.receivers,
      ttlSeconds: options.ttl ?? ttlFor(totalOf(sources)),
      onFailedAttempt: strangers.onFailedAttempt,
      onWaiting: strangers.onWaiting,
      onUsedUp: strangers.onUsedUp,
      ...connectionReport(terminal, run),
    })
    run.leave = async () => {
      // Each device is told that its offer is taken back, and says what it has.
      leaving.abort()
      await Promise.race([run.sending, new Promise((resolve) => setTimeout(resolve, WITHDRAWAL_MS).unref())])
      await sender.cancel()
    }
    const work = async () => pairAndSend(sender, sources, run, await page)
    // Whatever has ended it: nobody shall wait for the deadline.
    return await untilInterrupted(terminal, run.leave, () => work().finally(() => sender.cancel()))
  } catch (error) {
    throw failureOf(error, relay, run.approved.length > 0)
  } finally {
    strangers.stop()
    terminal.close()
  }
}

async function pairAndSend(sender: Sender, sources: List<Source>, run: Run, hasPage: boolean): Promise<number> {
  const { terminal, options, relay, strangers, leaving } = run
  const { receivers, qr, timeout, yes } = options
  // The call to the relay has given a pipe the time to show that it has ended.
  if (!yes && !(await terminal.answerable(0))) throw new CliError(NOBODY_ANSWERS, 'usage')
  showCode({ sender, sources, relay, receivers, hasPage, qr }, terminal)
  run.approved = await approveReceivers(sender, terminal, {
    ...{ receivers, yes, timeout, strangers },
    leaving: leaving.signal,
  })
  strangers.stop()
  if (run.approved.length === 0) {
    throw new CliError(
      'No device was approved, and nothing was sent. For another try, send again with a new code.',
      'not_paired',
    )
  }
  const patience = new Patience(timeout)
  let hasMoved = false
  const onMove = () => {
    hasMoved = true
    patience.renew()
  }
  const { approved } = run
  const connected = () => run.connected
  const sending = deliver({ sender, sources, approved, terminal, connected, onMove, signal: leaving.signal })
  run.sending = sending.catch(() => {})
  const receipts = await patience.within(sending, run.leave, () => {
    const what = hasMoved ? 'Nothing has moved' : 'No device has answered'
    throw new CliError(`${what} for ${timeout} s.`, 'not_delivered')
  })
  await sender.close()
  return receipts.every(({ delivered }) => delivered) ? EXIT.delivered : EXIT.not_delivered
}

function tellLeftOut(leftOut: List<LeftOut>, terminal: Terminal): void {
  const whys = { link: 'a link', special: 'no file', name: 'its name is not UTF-8', unreadable: 'it cannot be read' }
  for (const [index, { path, why }] of indexed(leftOut)) {
    terminal.event('left_out', { path, why })
    if (index < MOST_NAMED) terminal.say(`Not sent: ${shown(path)} (${whys[why]}).`, 'always')
  }
  const more = leftOut.length - MOST_NAMED
  if (more > 0) terminal.say(`Not sent, too: ${more} more.`, 'always')
}

/** How long the session is asked to be, unless a person says. */
function ttlFor(totalBytes: number | undefined): number | undefined {
  if (totalBytes === undefined) return undefined
  return Math.min(TTL_MAX_SECONDS, PAIRING_SECONDS + Math.floor(totalBytes / EXPECTED_BYTES_PER_SECOND))
}
