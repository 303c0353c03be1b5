import { hostname } from 'node:os'
import { cleanText, formatMatchNumber, type Offer, Receiver } from '../client/index.ts'
import { DeviceName } from '../protocol/fields.ts'
import { NAME_MAX_BYTES } from '../protocol/limits.ts'
import { Attempts } from './attempts.ts'
import { connectionReport } from './connection.ts'
import { readEntry } from './entry.ts'
import { CliError, EXIT } from './exit.ts'
import { formatBytes } from './format.ts'
import { untilInterrupted } from './interrupt.ts'
import { safeNames } from './names.ts'
import {
  type Asker,
  checkedOutput,
  directoryFor,
  type OutputOptions,
  pipeOut,
  reasonToDecline,
  save,
  showText,
  type Taking,
  type Target,
  TEXT_MAX_BYTES,
  targetsFor,
} from './output.ts'
import { watchPresence } from './presence.ts'
import { neededRate } from './progress.ts'
import { failureOf, relayFrom, warnOfPlainHttp } from './relay.ts'
import { shown } from './shown.ts'
import { TEXT_TYPE } from './sources.ts'
import { Terminal } from './terminal.ts'

export interface ReceiveOptions {
  readonly relay?: string
  readonly output?: string
  readonly mode?: number
  readonly name?: string
  readonly yes?: boolean
  readonly json?: boolean
}

/** How long a pipe may take to show that it has ended: one that has does at once. */
const PIPE_MS = 250
const NOBODY_ANSWERS = 'There is nobody to answer. Use --yes to accept without asking.'

/** With an output that was checked. */
type Options = Omit<ReceiveOptions, 'output'> & OutputOptions

/** How far it has come. */
interface State {
  relay: string
  connected: boolean
  approved: boolean
  over: boolean
  /** The offer that is asked about, or taken. */
  offer: Offer | undefined
}

/** `pairlay receive`: joins, lets the person compare and accept, saves, and resolves with the exit code. */
export async function receive(code: string | undefined, options: ReceiveOptions): Promise<number> {
  if (options.json && options.output === '-') {
    throw new CliError('With -o - stdout is the data, so there is no room for --json.', 'usage')
  }
  const name = deviceName(options.name)
  const terminal = new Terminal({ json: options.json === true, stdinIsData: false })
  const state: State = { relay: '', connected: false, approved: false, over: false, offer: undefined }
  // A link names its own, so what the environment says may not matter.
  if (options.relay !== undefined) relayFrom(options.relay)
  try {
    if (!options.yes) terminal.listen()
    const output = await checkedOutput(terminal, options)
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
        terminal.event('approved', { matchNumber: receiver.matchNumber }, 'Approved. Waiting for what it sends …')
      },
      onRejoin: () => terminal.event('rejoined', {}, 'The relay had given this place away. Joined again.'),
      ...connectionReport(terminal, state),
    })
    void receiver.ended.then(() => {
      state.over = true
    })
    return await untilInterrupted(
      terminal,
      () => (state.offer && !state.offer.complete ? state.offer.decline('cancelled') : receiver.close()),
      () => receiveAll(receiver, terminal, { ...options, output }, state),
    )
  } catch (error) {
    throw failureOf(error, state.relay, state.approved)
  } finally {
    terminal.close()
  }
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

async function receiveAll(receiver: Receiver, terminal: Terminal, options: Options, state: State): Promise<number> {
  terminal.say('Checking the code with the sender …')
  const matchNumber = await receiver.verified
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
  const asking: Asker = {
    ask: (kind, question) => untilEnded(receiver, (signal) => terminal.ask(kind, question, signal)),
  }
  const names = new Set<string>()
  let transfers = 0
  try {
    for await (const offer of receiver.offers()) {
      transfers++
      state.offer = offer
      const taking = { offer, matchNumber, terminal, expiresInMs, isOver: () => state.over }
      await takeOffer(taking, safeNames(offer.items, names), asking, options)
      state.offer = undefined
    }
  } finally {
    stopWatching()
  }
  if (transfers === 0) throw new CliError('The sender ended without sending anything.', 'not_delivered')
  return EXIT.delivered
}

/** Does work that is of no use once the session is over. Throws what ended it. */
async function untilEnded<T>(receiver: Receiver, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const withdraw = new AbortController()
  const ended = receiver.ended.then((error) => {
    throw error
  })
  try {
    return await Promise.race([work(withdraw.signal), ended])
  } finally {
    withdraw.abort()
  }
}

/** Takes one offer, or declines it and says why. */
async function takeOffer(taking: Taking, names: readonly string[], asking: Asker, options: Options): Promise<void> {
  const { offer, matchNumber } = taking
  const asText = isText(offer) && options.output === undefined
  tellOffer(taking, names, asText)
  try {
    const toFiles = !asText && options.output !== '-'
    const targets = toFiles ? await targetsFor(offer.items, names, asking, options) : []
    if (options.output === '-' && names.length > 1) {
      throw new CliError('Several files do not fit into one pipe. Receive them into a directory with -o.', 'usage')
    }
    await confirm(matchNumber, asText, targets, asking, options)
    if (asText) await showText(taking)
    else if (options.output === '-') await pipeOut(taking)
    else await save(taking, targets, options.mode)
  } catch (error) {
    if (!offer.complete) await offer.decline(reasonToDecline(error))
    throw error
  }
}

function tellOffer({ offer, terminal, expiresInMs }: Taking, names: readonly string[], asText: boolean): void {
  const what = asText ? 'a text' : names.length === 1 ? names[0] : `${names.length} files`
  const size = offer.totalBytes === undefined ? 'of unknown length' : `(${formatBytes(offer.totalBytes)})`
  const line = `The sender offers ${what} ${size}${names.length === 1 ? '.' : ':'}`
  terminal.event('offer', { items: offer.items, totalBytes: offer.totalBytes }, line)
  if (names.length > 1) {
    for (const [index, name] of names.entries())
      terminal.say(`    ${name}  ${formatBytes(offer.items[index]?.size ?? 0)}`)
  }
  const needed = neededRate(offer.totalBytes, expiresInMs())
  if (needed) terminal.say(`${needed} The sender gives it more time with --ttl.`)
}

async function confirm(
  matchNumber: string,
  asText: boolean,
  targets: readonly Target[],
  asking: Asker,
  options: Options,
): Promise<void> {
  if (options.yes) return
  const [first] = targets
  const where = asText
    ? 'Show it'
    : first === undefined
      ? 'Write it to stdout'
      : targets.length === 1
        ? `Save it as ${shown(first.path)}`
        : `Save them in ${shown((await directoryFor(options)) ?? process.cwd())}`
  const answer = await asking.ask('accept', `${where}, if the sender shows ${formatMatchNumber(matchNumber)}? [y/N] `)
  if (answer === undefined) throw new CliError(NOBODY_ANSWERS, 'usage')
  if (!/^y(es)?$/i.test(answer)) throw new CliError('Refused. Nothing was saved.', 'not_delivered', 'declined')
}

function isText({ items: [item, second] }: Offer): boolean {
  if (!item || second) return false
  return item.type === TEXT_TYPE && item.size !== undefined && item.size <= TEXT_MAX_BYTES
}
