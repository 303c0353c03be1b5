import { PairingError, parseEntry, warmUp } from '../client/index.ts'
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
    const asking = given ?? terminal.ask('code', `${reason}Code: `)
    if (given === undefined) void warmUp()
    const entered = await asking
    let linked: Partial<Entry> & Pick<Entry, 'code'>
    try {
      linked = parsed(entered ?? '')
    } catch (error) {
      const again = given === undefined && entered !== undefined && terminal.attended
      if (!again || !(error instanceof CliError)) throw error
      reason = `${error.message}\n`
      continue
    }
    const entry = { relay: relayFrom(options.relay), ...linked }
    await confirmRelay(entry, terminal, options)
    return entry
  }
}

/** No code, link or line is as long. */
const ENTERED_MAX = 4_096
/** Quotes, brackets and the like around what was copied out of a text, and the word that the sender shows before a code. */
const AROUND = /^[\s"'`\u2018-\u201f\u00ab\u00bb<([]+|[\s"'`\u2018-\u201f\u00ab\u00bb>)\].,;]+$/g
const BEFORE = /^code:/i
/** The line that a sender shows for pasting, with a relay if that is not the usual one. */
const LINE = /^(?:npx )?pairlay receive (\S+)(?: --relay '?([^\s']+)'?)?$/

/** A code, a link that names its relay too, or the sender's line. Throws CliError for what cannot be right. */
function parsed(text: string): Partial<Entry> & Pick<Entry, 'code'> {
  // Of a longer text nothing is a code, and to look for its end takes long.
  const isShort = text.length <= ENTERED_MAX
  const copied = isShort ? text.replaceAll(AROUND, '').replace(BEFORE, '').replaceAll(AROUND, '') : text
  const [, entered = copied, relay] = LINE.exec(copied) ?? []
  if (relay !== undefined) return { relay: relayAddress(relay, 'The value of --relay'), ...parsed(entered) }
  if (entered.trim() === '') throw new CliError('There is no code. Enter the one that the sender shows.', 'usage')
  if (/^\s*https?:\/\/[^#]*#?\s*$/i.test(entered)) {
    throw new CliError('This link has no code behind a #. Copy the whole link, or enter the code.', 'usage')
  }
  const hash = entered.indexOf('#')
  const link = hash < 1 ? {} : { relay: relayAddress(entered.slice(0, hash), 'The address in this link') }
  try {
    return { ...link, code: parseEntry({ code: entered.slice(Math.max(0, hash)) }).code.text }
  } catch (error) {
    if (!(error instanceof PairingError)) throw error
    throw new CliError(error.detail ?? error.message, 'not_paired', error.code)
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
