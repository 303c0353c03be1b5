#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { TTL_MAX_SECONDS, TTL_MIN_SECONDS } from '../protocol/limits.ts'
import { writeEvent } from './events.ts'
import { CliError, EXIT } from './exit.ts'
import { endingSignals } from './interrupt.ts'
import { type ReceiveOptions, receive } from './receive.ts'
import { type SendOptions, send } from './send.ts'
import { type ServeOptions, serve } from './serve.ts'

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

const EXIT_CODES = `
Exit codes:
  0    done: delivered, or received and saved
  1    failed here (a file, the disk, a pipe)
  2    wrong usage
  3    not paired: wrong, unknown or used code, denied, no answer, or the time was over
  4    not paired: the relay refused or cannot be reached
  5    paired, and not delivered, or not everything received
  130  stopped by Ctrl-C
`

const ANSWERS = `
Answers read from a pipe count in advance: \`echo y |\` trusts as --yes does. At a terminal only what is typed after a
question answers it.
`

const program = new Command('pairlay')
  .description('Hand files from one device to another, end to end encrypted, through a relay that cannot read them.')
  .version(version)
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'pairlay: ')) })
  .exitOverride()
  .addHelpText('after', EXIT_CODES)

const relayOption = ['--relay <url>', 'the relay to use (default: $PAIRLAY_RELAY, or a relay on this machine)'] as const

program
  .command('send')
  .description('show a code, pair with the device that enters it, and send')
  .argument('[file...]', 'files to send, or - for stdin')
  .option(...relayOption)
  .option('--receivers <n>', 'how many devices may be approved; a pipe has one', wholeNumber(1, 8), 1)
  .option(
    '--ttl <seconds>',
    `how long the session may take, ${TTL_MIN_SECONDS} to ${TTL_MAX_SECONDS}; a relay may grant less`,
    wholeNumber(TTL_MIN_SECONDS, TTL_MAX_SECONDS),
  )
  .option('--text', 'send a text instead: asked for, or read from stdin')
  .option('--yes', 'approve without asking: trusts every device that enters the code, up to --receivers')
  .option('--json', 'print one event a line, as JSON, on stdout')
  .option('--no-qr', 'print no QR code')
  .addHelpText('after', ANSWERS)
  .action((files: string[], options: SendOptions) => perform(options.json === true, () => send(files, options)))

program
  .command('receive')
  .description('enter a code, and receive what its sender sends')
  .argument('[code]', 'asked for when missing, which is safer: other users of this machine can see a command line')
  .option(...relayOption)
  .option('-o, --output <path>', 'save as this file or into this directory; - writes to stdout')
  .option('--mode <octal>', 'the mode of what is saved, such as 644 (default: 600, for nobody else)', fileMode)
  .option('--name <name>', "what the sender sees beside the number (default: the host name; '' for none)")
  .option('--yes', 'accept without asking: trusts whoever made the code to send what it likes')
  .option('--json', 'print one event a line, as JSON, on stdout')
  .addHelpText('after', ANSWERS)
  .action((code: string | undefined, options: ReceiveOptions) =>
    perform(options.json === true && options.output !== '-', () => receive(code, options)),
  )

program
  .command('serve')
  .description('run a relay; the README lists the environment variables it reads')
  .option('--host <address>', 'the address to listen on', address)
  .option('--port <number>', 'the port to listen on', wholeNumber(0, 65_535))
  .action(async (options: ServeOptions) => finish(await serve(options)))

// A reader that has gone must not crash us. Where the data goes there, the write that failed says so itself.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

// From the beginning, whatever it does first.
endingSignals()
try {
  await program.parseAsync()
} catch (error) {
  finish(report(error))
}

/** Runs a command to its end. With `json` its failure is an event too. */
async function perform(json: boolean, command: () => Promise<number>): Promise<void> {
  try {
    finish(await command())
  } catch (error) {
    if (json && error instanceof CliError) writeEvent('error', { code: error.code, message: error.message })
    throw error
  }
}

/** Says what went wrong, in one line, and gives the exit code for it. */
function report(error: unknown): number {
  if (error instanceof CliError) {
    process.stderr.write(`pairlay: ${error.message}\n`)
    return EXIT[error.exit]
  }
  if (error instanceof Error && 'code' in error && String(error.code).startsWith('commander.')) {
    const shown = ['commander.helpDisplayed', 'commander.help', 'commander.version'].includes(String(error.code))
    return shown && process.argv.length > 2 ? EXIT.delivered : EXIT.usage
  }
  throw error
}

/** Ends the process once stdout has taken everything: an open terminal or socket must not keep it. Ctrl-C waits for nothing. */
function finish(code: number): void {
  if (code === EXIT.interrupted) process.exit(code)
  process.stdout.write('', () => process.exit(code))
}

function address(text: string): string {
  if (/^[A-Za-z0-9.:_-]+$/.test(text)) return text
  throw new InvalidArgumentError('It is an address such as 0.0.0.0 or ::.')
}

function fileMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return Number.parseInt(text, 8)
  throw new InvalidArgumentError('It is three octal digits such as 644: no file gets the rights of another user.')
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= min && value <= max) return value
    throw new InvalidArgumentError(`It is a whole number from ${min} to ${max}.`)
  }
}
