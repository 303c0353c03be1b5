import { Command, CommanderError } from 'commander'
import { COMMANDS } from './commands.ts'
import { writeEvent } from './events.ts'
import { CliError, EXIT, EXIT_MEANINGS, type ExitName } from './exit.ts'
import { writeForPeople } from './terminal.ts'

const ANSWERS = `
Answers read from a pipe count in advance: \`echo y |\` trusts as --yes does. At a terminal only what is typed after a
question answers it.
`

/** Carries out a command line, such as ['send', 'file'], and resolves with its exit code. Throws what nobody foresaw. */
export async function execute(args: readonly string[], version: string): Promise<number> {
  let exitCode: number = EXIT.usage
  try {
    await programOf(version, (code) => {
      exitCode = code
    }).parseAsync(args, { from: 'user' })
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
    .version(version)
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'pairlay: ')) })
    .exitOverride()
    .addHelpText('after', `\nExit codes:\n${listed(codes)}`)
  for (const { name, does, arguments: given = [], options, examples, load } of COMMANDS) {
    const command = program.command(name).description(does)
    for (const argument of given) command.addArgument(argument)
    for (const option of options) command.addOption(option)
    if (options.some(({ long }) => long === '--yes')) command.addHelpText('after', ANSWERS)
    command.addHelpText('after', `\nExamples:\n${listed(Object.entries(examples))}`)
    // The last one is the command itself.
    command.action(async (...values) => end(await perform(await load(), values.slice(0, -1))))
  }
  return program
}

function listed(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([term]) => term.length))
  return rows.map(([term, meaning]) => `  ${term.padEnd(width)}  ${meaning}`).join('\n')
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
