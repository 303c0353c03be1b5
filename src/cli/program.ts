import { existsSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { shown } from '../node/shown.ts'
import { COMMANDS } from './commands.ts'
import { ENVIRONMENT } from './environment.ts'
import { writeEvent } from './events.ts'
import { CliError, EXIT, EXIT_MEANINGS, type ExitName } from './exit.ts'
import { helpWith, type Section } from './help.ts'
import { writeForPeople } from './terminal.ts'

/** Carries out a command line, such as ['send', 'file'], and resolves with its exit code. Throws what nobody foresaw. */
export async function execute(args: readonly string[], version: string): Promise<number> {
  let exitCode: number = EXIT.usage
  const [first, named] = args
  // Commander shows the help of everything for a name that it does not know, and says nothing of the name.
  const isMistyped = first === 'help' && named !== undefined && !COMMANDS.some(({ name }) => name === named)
  try {
    await programOf(version, (code) => {
      exitCode = code
    }).parseAsync(isMistyped ? args.slice(1) : args, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CliError) {
      writeForPeople(`pairlay: ${error.message}\n`)
      return EXIT[error.exit]
    }
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 && args.length > 0 ? EXIT.delivered : EXIT.usage
  }
}

/** The program with all its commands, each of which gives its exit code to `end`. */
export function programOf(version: string, end: (exitCode: number) => void): Command {
  const codes = Object.entries(EXIT_MEANINGS).map(([name, is]) => [String(EXIT[name as ExitName]), is] as const)
  const program = new Command('pairlay')
    .description('Hand files from one device to another, end to end encrypted, through a relay that cannot read them.')
    .version(version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .usage('<command> [options]')
    .exitOverride()
    .configureHelp(
      helpWith([
        examplesOf(COMMANDS.slice(0, 2).map(({ examples }) => Object.entries(examples)[0] ?? ['', ''])),
        { title: 'Environment', rows: Object.entries(ENVIRONMENT) },
        { title: 'Exit codes', rows: codes },
        { text: 'Each command has a help of its own, such as `pairlay send --help`.' },
      ]),
    )
    .configureOutput({ outputError: (text) => writeForPeople(`pairlay: ${mistakeOf(text, 'pairlay')}\n`) })
  for (const { name, does, arguments: given = [], options, note, examples, load } of COMMANDS) {
    const command = program
      .command(name)
      .summary(does)
      .description(`${does.charAt(0).toUpperCase()}${does.slice(1)}.`)
      .configureHelp(helpWith([...(note === undefined ? [] : [{ text: note }]), examplesOf(Object.entries(examples))]))
      .configureOutput({ outputError: (text) => writeForPeople(`pairlay: ${mistakeOf(text, `pairlay ${name}`)}\n`) })
    for (const argument of given) command.addArgument(argument)
    for (const option of options) command.addOption(option)
    // The last one is the command itself.
    command.action(async (...values) => end(await perform(await load(), values.slice(0, -1))))
  }
  return program
}

function examplesOf(rows: readonly [line: string, does: string][]): Section {
  return { title: 'Examples', rows, lines: true }
}

/** Commander's error as a sentence, with what to do next. */
function mistakeOf(text: string, command: string): string {
  const [what = '', suggested] = text
    .trim()
    .replace(/^error: /, '')
    .split(/\n\(Did you mean |\?\)$/)
  const said = shown(what).replace(/^command-argument value (.*) is invalid for argument '(\w+)'/, '$1 is no $2')
  const sentence = `${said.charAt(0).toUpperCase()}${said.slice(1)}`
  if (suggested !== undefined) return `${sentence}. Did you mean ${suggested}?`
  if (sentence.endsWith('.')) return sentence
  const [, kind, unknown = ''] = /^unknown (command|option) '(.*)'$/.exec(what) ?? []
  if (unknown !== '' && existsSync(unknown)) {
    return `${sentence}. To send it: pairlay send ${kind === 'option' ? '-- ' : ''}${shown(unknown)}`
  }
  if (/^(http.*#)?\w{5}-\w{6}$/.test(unknown)) return `${sentence}. To receive with a code: pairlay receive`
  return `${sentence}. See ${command} --help.`
}

/** Runs a command to its end. With `--json` its failure is an event too. */
async function perform(command: (...given: never[]) => Promise<number>, given: readonly unknown[]): Promise<number> {
  try {
    return await command(...(given as never[]))
  } catch (error) {
    const { json, output } = given.at(-1) as { json?: boolean; output?: string }
    if (json && output !== '-' && error instanceof CliError) {
      writeEvent('error', { code: error.code, message: error.message })
    }
    throw error
  }
}
