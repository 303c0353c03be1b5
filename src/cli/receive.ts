import { hostname } from 'node:os'
import { cleanText, formatMatchNumber, type Offer, type PairedDevice, Receiver } from '../client/index.ts'
import { DeviceName } from '../protocol/fields.ts'
import { NAME_MAX_BYTES } from '../protocol/limits.ts'
import { Attempts } from './attempts.ts'
import { connectionReport } from './connection.ts'
import { readEntry } from './entry.ts'
import { CliError, EXIT } from './exit.ts'
import { untilInterrupted } from './interrupt.ts'
import { NOBODY_ANSWERS } from './offered.ts'
import { Patience } from './patience.ts'
import { type Asker, checkedOutput, type OutputOptions } from './places.ts'
import { watchPresence } from './presence.ts'
import { failureOf, relayFrom, warnOfPlainHttp } from './relay.ts'
import { takeOffer } from './taking.ts'
import { type Manner, Terminal } from './terminal.ts'

export interface ReceiveOptions extends OutputOptions, Manner {
  readonly relay?: string
  readonly name?: string
  /** Stays for what the sender offers after the first. */
  readonly keep?: boolean
  /** Seconds in which something has to happen. */
  readonly timeout?: number
}

/** How long a pipe may take to show that it has ended: one that has does at once. */
const PIPE_MS = 250
/** How long the goodbye after a failure may take. */
const GOODBYE_MS = 3_000

/** How far it has come. */
interface State {
  relay: string
  connected: boolean
  approved: boolean
  over: boolean
  device: PairedDevice | undefined
  /** The offer that is asked about, or taken. */
  offer: Offer | undefined
  /** Offers that were received whole. */
  received: number
  readonly patience: Patience
  /** Aborted when this side leaves. */
  readonly leaving: AbortController
}

/** `pairlay receive`: joins, lets the person compare and accept, saves, and resolves with the exit code. */
export async function receive(code: string | undefined, options: ReceiveOptions): Promise<number> {
  if (options.json && options.output === '-') {
    throw new CliError('With -o - stdout is the data, so there is no room for --json.', 'usage')
  }
  const name = deviceName(options.name)
  const terminal = new Terminal({ ...options, stdinIsData: false })
  const leaving = new AbortController()
  const patience = new Patience(options.timeout)
  const none = { connected: false, approved: false, over: false, device: undefined, offer: undefined, received: 0 }
  const state: State = { relay: '', ...none, patience, leaving }
  // A link names its own, so what the environment says may not matter.
  if (options.relay !== undefined) relayFrom(options.relay)
  try {
    if (!options.yes) terminal.listen()
    const checked = await checkedOutput(terminal, options)
    const entry = await readEntry(code, terminal, options)
    if (!options.yes && !(await terminal.answerable(PIPE_MS))) throw new CliError(NOBODY_ANSWERS, 'usage')
    state.relay = entry.relay
    warnOfPlainHttp(entry.relay, terminal)
    const receiver: Receiver = await Receiver.join({
      ...entry,
      name,
      attempts: new Attempts(terminal),
      onApproved: () => {
        state.approved = true
        patience.renew()
        terminal.event('approved', { matchNumber: receiver.matchNumber }, 'Approved. Waiting for what it sends …')
      },
      onRejoin: () => terminal.event('rejoined', {}, 'The relay had given this place away. Joined again.'),
      ...connectionReport(terminal, state),
    })
    void receiver.ended.then(() => {
      state.over = true
    })
    const leave = async () => {
      leaving.abort()
      if (state.offer && !state.offer.complete) state.offer.stop('cancelled')
      await goodbye(state)
      await receiver.close()
    }
    const work = () =>
      receiveAll(receiver, terminal, checked, state).finally(async () => {
        // The sender hears everything that was said, before this side is gone.
        await goodbye(state)
        await receiver.close()
      })
    return await untilInterrupted(terminal, leave, () => patience.within(work(), leave, () => tooLate(state)))
  } catch (error) {
    throw failureOf(error, state.relay, state.approved)
  } finally {
    patience.stop()
    terminal.close()
  }
}

/** Ends a command in which nothing happened for too long. Throws CliError, unless it was to take whatever came. */
function tooLate({ device, approved, offer, received, patience: { seconds } }: State): number {
  if (!device && !approved)
    throw new CliError(`The sender has not approved this device within ${seconds} s.`, 'not_paired')
  if (!offer && received > 0) return EXIT.delivered
  const what = offer?.isUndecided
    ? 'Nobody has answered'
    : offer
      ? 'Nothing has moved'
      : 'The sender has offered nothing'
  throw new CliError(`${what} for ${seconds} s.`, 'not_delivered')
}

/**
 * Returns the name that the sender sees: the one given, or its host name as far as the protocol takes it. Undefined for an
 * empty name. Throws CliError for one that is too long.
 */
function deviceName(given: string | undefined): string | undefined {
  if (given === undefined) return cleanText(hostname(), 32).replaceAll(/[^\x20-\x7e]|["\\]/g, '_') || 'a terminal'
  const name = cleanText(given, Number.POSITIVE_INFINITY)
  if (name === '' || DeviceName.safeParse(name).success) return name || undefined
  throw new CliError(`The name is too long: it may take ${NAME_MAX_BYTES} bytes.`, 'usage')
}

/** Says goodbye, if there is somebody to hear it, and waits a moment. Never rejects. */
async function goodbye({ device, over }: State): Promise<void> {
  if (!device || over) return
  const patience = new Promise((resolve) => setTimeout(resolve, GOODBYE_MS).unref())
  await Promise.race([device.close().catch(() => {}), patience])
}

async function receiveAll(
  receiver: Receiver,
  terminal: Terminal,
  options: ReceiveOptions,
  state: State,
): Promise<number> {
  terminal.say('Checking the code with the sender …')
  const matchNumber = await receiver.verified
  state.patience.renew()
  const line = `The sender should show ${formatMatchNumber(matchNumber)}. Waiting for its approval …`
  terminal.event('number', { matchNumber, fingerprint: receiver.fingerprint }, line)
  const expiresInMs = () => receiver.expiresInMs
  const stopWatching = watchPresence({
    others: [
      {
        matchNumber,
        get present() {
          return receiver.senderPresent
        },
      },
    ],
    connected: () => state.connected,
    expiresInMs,
    terminal,
  })
  let offers = 0
  try {
    state.device = await receiver.approved
    for await (const offer of state.device.offers()) {
      // Answered already, when this side said goodbye.
      if (!offer.isUndecided) continue
      offers++
      state.offer = offer
      state.patience.renew()
      const asker: Asker = {
        ask: (kind, question) => untilEnded(receiver, offer, (signal) => terminal.ask(kind, question, signal)),
      }
      const { signal } = state.leaving
      const { renew: onMove } = state.patience
      const isOver = () => state.over
      try {
        await takeOffer({ offer, matchNumber, terminal, asker, expiresInMs, onMove, isOver, signal }, options)
        state.received++
      } catch (error) {
        if (!options.keep || state.over || signal.aborted) throw error
        const failure = failureOf(error, state.relay, true)
        if (!(failure instanceof CliError)) throw failure
        terminal.event('not_received', { code: failure.code, message: failure.message }, failure.message)
      }
      state.offer = undefined
      state.patience.renew()
      if (options.keep) terminal.say('Waiting for what else it sends …')
      // The loop ends with the sender's own goodbye.
      else void state.device.close().catch(() => {})
    }
  } finally {
    stopWatching()
  }
  if (offers === 0) throw new CliError('The sender ended without sending anything.', 'not_delivered')
  return state.received === offers ? EXIT.delivered : EXIT.not_delivered
}

/** Does work that is of no use once the session is over, or the offer taken back. Throws what ended it. */
async function untilEnded<T>(receiver: Receiver, offer: Offer, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const withdraw = new AbortController()
  const ended = Promise.race([receiver.ended, offer.withdrawn]).then((error) => {
    throw error
  })
  try {
    return await Promise.race([work(withdraw.signal), ended])
  } finally {
    withdraw.abort()
  }
}
