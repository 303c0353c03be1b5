import { PairingError, parseEntry } from '../client/index.ts'
import { CliError } from './exit.ts'
import { relayAddress, relayFrom } from './relay.ts'
import type { Terminal } from './terminal.ts'

/** Where a receiver goes, and with which code. */
export interface Entry {
  readonly relay: string
  readonly code: string
}

interface EntryOptions {
  readonly relay?: string | undefined
  readonly yes?: boolean | undefined
}

/**
 * The code or link that was given or is asked for. A person who has mistyped it is told why, and asked again. Throws CliError
 * for one that cannot be right, when there is nobody to ask.
 */
export async function readEntry(given: string | undefined, terminal: Terminal, options: EntryOptions): Promise<Entry> {
  let reason = ''
  for (;;) {
    const entered = given ?? (await terminal.ask('code', `${reason}Code: `))
    if (entered === undefined) throw noCode()
    try {
      const entry = entryOf(entered, options)
      await confirmRelay(entry, terminal, options)
      return entry
    } catch (error) {
      if (given !== undefined || !terminal.attended || !(error instanceof MistypedError)) throw error
      reason = `${error.message}\n`
    }
  }
}

/** An entry that cannot be right. */
class MistypedError extends CliError {}

function noCode(): CliError {
  return new MistypedError('There is no code. Enter the one that the sender shows.', 'usage')
}

/** A code, or a link that names its relay too. */
function entryOf(entered: string, { relay }: EntryOptions): Entry {
  if (entered.trim() === '') throw noCode()
  const hash = entered.indexOf('#')
  if (/^\s*https?:\/\/[^#]*#?\s*$/i.test(entered)) {
    throw new MistypedError('This link has no code behind a #. Copy the whole link, or enter the code.', 'usage')
  }
  const address = hash === -1 ? relayFrom(relay) : linkedRelay(entered.slice(0, hash))
  try {
    return { relay: address, code: parseEntry({ code: entered.slice(hash + 1), relay: address }).code.text }
  } catch (error) {
    if (!(error instanceof PairingError)) throw error
    throw new MistypedError(error.detail ?? error.message, 'not_paired', error.code)
  }
}

function linkedRelay(address: string): string {
  try {
    return relayAddress(address, 'The address in this link')
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    throw new MistypedError(error.message, error.exit)
  }
}

/** Lets the person decide about a relay that only the link names: it could be any server. */
async function confirmRelay({ relay }: Entry, terminal: Terminal, options: EntryOptions): Promise<void> {
  if (relay === relayFrom(options.relay)) return
  if (options.yes || !terminal.attended) return terminal.say(`The link leads to the relay at ${relay}.`)
  const question = `The link leads to ${relay}, which is not the usual relay. Go there? [y/N] `
  const answer = await terminal.ask('relay', question)
  if (!/^y(es)?$/i.test(answer ?? '')) throw new CliError('That relay was asked nothing.', 'usage')
}
