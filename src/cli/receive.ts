import { hostname } from 'node:os'
import { performance } from 'node:perf_hooks'
import { cleanText, formatMatchNumber, type Offer, Receiver } from '../client/index.ts'
import { DeviceName } from '../protocol/http.ts'
import { NAME_MAX_BYTES } from '../protocol/limits.ts'
import { CliError, EXIT } from './exit.ts'
import { exists, isDirectory, PartFile, pathIn, safeNames } from './files.ts'
import { formatBytes, formatResult, Meter } from './format.ts'
import { untilInterrupted } from './interrupt.ts'
import { TEXT_TYPE } from './send.ts'
import { Terminal } from './terminal.ts'

export interface ReceiveOptions {
  readonly relay: string
  readonly output?: string
  readonly name?: string
  readonly yes?: boolean
  readonly json?: boolean
}

const DRAW_MS = 200
const LOG_MS = 5_000
/** The longest text that is shown rather than saved. */
const TEXT_MAX_BYTES = 65_536

/** `pairlay receive`: joins, lets the person compare and accept, saves, and resolves with the exit code. */
export async function receive(code: string | undefined, options: ReceiveOptions): Promise<number> {
  if (options.json && options.output === '-') {
    throw new CliError('With -o - stdout is the data, so there is no room for --json.', 'usage')
  }
  const name = deviceName(options.name)
  const terminal = new Terminal({ json: options.json === true, stdinIsData: false })
  try {
    if (!options.yes) terminal.listen()
    const entered = code ?? (await terminal.ask('Code: '))
    if (!entered) throw new CliError('There is no code. Enter the one that the sender shows.', 'usage')
    const { relay, pairingCode } = readLink(entered, options.relay)
    const receiver = await Receiver.join({
      relay,
      code: pairingCode,
      name,
      onStatus: (status) => {
        terminal.event('connection', { status })
        if (status === 'reconnecting') terminal.say('The connection to the relay is lost. Trying again …')
      },
    })
    return await untilInterrupted(
      terminal,
      () => receiver.close(),
      () => receiveAll(receiver, terminal, options),
    )
  } finally {
    terminal.close()
  }
}

/** A code, or a link that names its relay too. */
function readLink(entered: string, relay: string): { relay: string; pairingCode: string } {
  const hash = entered.indexOf('#')
  if (hash === -1) return { relay, pairingCode: entered }
  return { relay: entered.slice(0, hash), pairingCode: entered.slice(hash + 1) }
}

/**
 * What the sender sees of this device: the name given, or its host name as far as the protocol takes it. Undefined for an
 * empty name. Throws CliError for one that is too long.
 */
function deviceName(given: string | undefined): string | undefined {
  if (given === undefined) return cleanText(hostname(), 32).replaceAll(/[^\x20-\x7e]|["\\]/g, '_') || 'a terminal'
  const name = cleanText(given, Number.POSITIVE_INFINITY)
  if (name === '' || DeviceName.safeParse(name).success) return name || undefined
  throw new CliError(`The name is too long: it may take ${NAME_MAX_BYTES} bytes.`, 'usage')
}

async function receiveAll(receiver: Receiver, terminal: Terminal, options: ReceiveOptions): Promise<number> {
  terminal.say('Checking the code with the sender …')
  const matchNumber = await receiver.verified
  terminal.event('number', { matchNumber, fingerprint: receiver.fingerprint })
  terminal.say(`The sender should show ${formatMatchNumber(matchNumber)}. Waiting for its approval …`)
  let transfers = 0
  for await (const offer of receiver.offers()) {
    transfers++
    await takeOffer(offer, matchNumber, terminal, options)
  }
  if (transfers === 0) {
    terminal.say('The sender ended without sending anything.')
    return EXIT.not_delivered
  }
  return EXIT.delivered
}

async function takeOffer(
  offer: Offer,
  matchNumber: string,
  terminal: Terminal,
  options: ReceiveOptions,
): Promise<void> {
  const names = safeNames(offer.items)
  const asText = isText(offer) && options.output === undefined
  terminal.event('offer', { items: offer.items, totalBytes: offer.totalBytes })
  const what = asText ? 'a text' : names.length === 1 ? names[0] : `${names.length} files`
  const size = offer.totalBytes === undefined ? 'of unknown length' : `(${formatBytes(offer.totalBytes)})`
  terminal.say(`The sender offers ${what} ${size}:`.replace(/:$/, names.length === 1 ? '.' : ':'))
  if (names.length > 1) {
    for (const [index, name] of names.entries())
      terminal.say(`    ${name}  ${formatBytes(offer.items[index]?.size ?? 0)}`)
  }
  try {
    const paths = asText || options.output === '-' ? [] : await pathsFor(names, terminal, options)
    if (options.output === '-' && names.length > 1) {
      throw new CliError('Several files do not fit into one pipe. Receive them into a directory with -o.', 'usage')
    }
    await confirm(matchNumber, asText, paths, terminal, options)
    if (asText) await showText(offer, terminal)
    else if (options.output === '-') await pipeOut(offer, terminal)
    else await save(offer, paths, terminal)
  } catch (error) {
    if (!offer.delivered) await offer.decline()
    throw error
  }
}

async function confirm(
  matchNumber: string,
  asText: boolean,
  paths: readonly string[],
  terminal: Terminal,
  options: ReceiveOptions,
): Promise<void> {
  if (options.yes) return
  const [first] = paths
  const where = asText
    ? 'Show it'
    : first === undefined
      ? 'Write it to stdout'
      : paths.length === 1
        ? `Save it as ${cleanText(first)}`
        : 'Save them'
  const answer = await terminal.ask(`${where}, if the sender shows ${formatMatchNumber(matchNumber)}? [y/N] `)
  if (answer === undefined)
    throw new CliError('There is nobody to answer. Use --yes to accept without asking.', 'usage')
  if (!/^y(es)?$/i.test(answer)) throw new CliError('Refused. Nothing was saved.', 'not_delivered')
}

/** Where the items go. Asks for another name where one is taken; without a person to ask, that is an error. */
async function pathsFor(names: readonly string[], terminal: Terminal, options: ReceiveOptions): Promise<string[]> {
  const { output } = options
  const directory = output !== undefined && (await isDirectory(output)) ? output : undefined
  if (output !== undefined && directory === undefined && names.length > 1) {
    throw new CliError(
      `${cleanText(output)} is not a directory, and there are several files. Name a directory with -o.`,
      'usage',
    )
  }
  const wanted =
    output !== undefined && directory === undefined ? [output] : names.map((name) => pathIn(directory, name))
  const paths: string[] = []
  for (const path of wanted) {
    let free = path
    while (await exists(free)) {
      const taken = `${cleanText(free)} is there already, and is not overwritten.`
      if (options.yes || !process.stdin.isTTY) throw new CliError(`${taken} Save elsewhere with -o.`)
      const other = await terminal.ask(`${taken} Another name (Enter: stop): `)
      if (!other) throw new CliError('Nothing was saved.', 'not_delivered')
      free = other
    }
    paths.push(free)
  }
  return paths
}

async function save(offer: Offer, paths: readonly string[], terminal: Terminal): Promise<void> {
  const parts: PartFile[] = []
  const meter = meterFor(offer, terminal)
  try {
    const items = offer.accept({
      onProgress: meter.update,
      beforeReceipt: async () => {
        for (const part of parts) await part.commit()
      },
    })
    for await (const item of items) {
      const part = await PartFile.create(paths[item.index] ?? '')
      parts.push(part)
      for await (const piece of item.stream) await part.write(piece)
    }
  } finally {
    for (const part of parts) await part.discard()
  }
  for (const path of paths) {
    terminal.event('saved', { path })
    terminal.say(`Saved ${cleanText(path)}.`)
  }
  meter.done()
}

async function pipeOut(offer: Offer, terminal: Terminal): Promise<void> {
  const meter = meterFor(offer, terminal)
  for await (const item of offer.accept({ onProgress: meter.update, beforeReceipt: drainStdout })) {
    for await (const piece of item.stream) await writeOut(piece)
  }
  meter.done()
}

async function showText(offer: Offer, terminal: Terminal): Promise<void> {
  for await (const item of offer.accept()) {
    const text = await new Response(item.stream).text()
    terminal.event('text', { text })
    // A terminal obeys what it is shown, so the text is cleaned for one, line by line; a pipe gets it as it is.
    const shown = process.stdout.isTTY
      ? text
          .split('\n')
          .map((line) => cleanText(line, TEXT_MAX_BYTES))
          .join('\n')
      : text
    if (!terminal.json) await writeOut(new TextEncoder().encode(process.stdout.isTTY ? `${shown}\n` : shown))
  }
}

function isText(offer: Offer): boolean {
  const [item] = offer.items
  return offer.items.length === 1 && item?.type === TEXT_TYPE && item.size !== undefined && item.size <= TEXT_MAX_BYTES
}

function meterFor(
  offer: Offer,
  terminal: Terminal,
): { update: (progress: { bytes: number }) => void; done: () => void } {
  const meter = new Meter(offer.totalBytes, performance.now())
  let drawnAt = performance.now()
  const update = ({ bytes }: { bytes: number }) => {
    const now = performance.now()
    meter.update(bytes, now)
    if (now - drawnAt < (terminal.interactive ? DRAW_MS : LOG_MS)) return
    drawnAt = now
    const bytesPerSecond = Math.round(meter.rate(now))
    const leftMs = meter.leftMs(now)
    terminal.event('progress', {
      bytes,
      totalBytes: offer.totalBytes,
      bytesPerSecond,
      leftMs: leftMs && Math.round(leftMs),
    })
    if (terminal.interactive) terminal.progress([meter.line(now)])
    else terminal.say(meter.line(now))
  }
  const done = () => {
    const ms = meter.elapsedMs(performance.now())
    terminal.event('received', { bytes: meter.bytes, ms: Math.round(ms) })
    terminal.say(`Received ${formatResult(meter.bytes, ms)}. The sender knows.`)
  }
  return { update, done }
}

function writeOut(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) =>
      error ? reject(new CliError('Nobody reads the output any more.')) : resolve(),
    )
  })
}

function drainStdout(): Promise<void> {
  return writeOut(new Uint8Array())
}
