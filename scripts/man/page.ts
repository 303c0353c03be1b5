import { Help, type Option } from 'commander'
import type { CommandSpec } from '../../src/cli/command-spec.ts'
import { COMMANDS } from '../../src/cli/commands.ts'
import { ENVIRONMENT, FILES } from '../../src/cli/environment.ts'
import { EXIT, EXIT_MEANINGS, type ExitName } from '../../src/cli/exit.ts'
import { wrapped } from '../../src/cli/format.ts'

const LINE_MAX = 78

/** The manual page of the CLI in mdoc, from the tables that `--help` is made of. */
export function manPage(version: string, date: Date): string {
  const day = date.toLocaleDateString('en-US', { year: 'numeric', month: 'long', day: 'numeric', timeZone: 'UTC' })
  const codes = Object.entries(EXIT_MEANINGS).map(([name, is]) => [String(EXIT[name as ExitName]), is] as const)
  const examples = COMMANDS.flatMap((command) => Object.entries(command.examples))
  return `${[
    `.Dd ${day}`,
    '.Dt PAIRLAY 1',
    `.Os Pairlay ${version}`,
    '.Sh NAME',
    '.Nm pairlay',
    '.Nd hand files from one device to another, end to end encrypted',
    '.Sh SYNOPSIS',
    ...COMMANDS.flatMap(synopsis),
    '.Sh DESCRIPTION',
    '.Nm',
    text('hands files, folders and texts from one device to another through a relay that cannot read them.'),
    text(
      'The sender shows a code, the other device enters it, and both show a number to compare. Each command prints ' +
        'its own part of this page with --help, and pairlay --version prints the version.',
    ),
    ...COMMANDS.flatMap(section),
    '.Sh ENVIRONMENT',
    ...list(Object.entries(ENVIRONMENT).map(([name, is]) => [`Ev ${name}`, is])),
    '.Sh FILES',
    ...list(Object.entries(FILES).map(([path, is]) => [`Pa ${escaped(path)}`, is])),
    '.Sh EXIT STATUS',
    ...list(codes),
    '.Sh EXAMPLES',
    ...examples.flatMap(([line, does], at) => [
      ...(at === 0 ? [] : ['.Pp']),
      `${text(capitalised(does))}:`,
      ...['.Bd -literal -offset indent', escaped(line), '.Ed'],
    ]),
    '.Sh SEE ALSO',
    'The folder',
    '.Pa docs',
    'of the package has a page for each reader.',
  ].join('\n')}\n`
}

function synopsis({ name, options, arguments: given = [] }: CommandSpec): string[] {
  const places = given.map((argument) => {
    const ellipsis = argument.variadic ? ' ...' : ''
    return argument.required ? `.Ar ${argument.name()}${ellipsis}` : `.Op Ar ${argument.name()}${ellipsis}`
  })
  return ['.Nm', `.Cm ${name}`, ...(options.length > 0 ? ['.Op Ar options'] : []), ...places]
}

function section({ name, does, note, options, arguments: given = [] }: CommandSpec): string[] {
  const help = new Help()
  const places = given.map((argument) => [`Ar ${argument.name()}`, help.argumentDescription(argument)] as const)
  const flags = options.map((option) => [flagsOf(option), help.optionDescription(option)] as const)
  return [
    `.Ss pairlay ${name}`,
    `${text(capitalised(does))}.`,
    ...(places.length + flags.length > 0 ? list([...places, ...flags]) : []),
    ...(note === undefined ? [] : ['.Pp', text(note)]),
  ]
}

/** '-o, --output <path>' as macros. */
function flagsOf({ short, long, flags, optional }: Option): string {
  const [, value] = /[<[](\w+)/.exec(flags) ?? []
  const typed = [short, long].flatMap((flag) => (flag ? `Fl ${escaped(flag.slice(1))}` : []))
  return `${typed.join(' , ')}${value === undefined ? '' : optional ? ` Op Ar ${value}` : ` Ar ${value}`}`
}

/** Terms as macros, each with its meaning. */
function list(rows: readonly (readonly [term: string, is: string])[]): string[] {
  return ['.Bl -tag -width Ds', ...rows.flatMap(([term, is]) => [`.It ${term}`, text(is)]), '.El']
}

/** Text on lines of its own, a sentence on each, and none too long. */
function text(plain: string): string {
  const lines = plain.split(/(?<=\.) (?=[A-Z])/).map((sentence) => wrapped(escaped(sentence), LINE_MAX))
  // A line that begins so would be a command.
  return lines.join('\n').replaceAll(/^(?=\.)/gm, '\\&')
}

/** Text in which nothing is obeyed, or set as another character. */
function escaped(plain: string): string {
  const names: Readonly<Record<string, string>> = {
    '\\': 'e',
    '-': '-',
    '`': '(ga',
    '^': '(ha',
    '~': '(ti',
    "'": '(aq',
  }
  const codeOf = (character: string) => character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')
  return plain
    .replaceAll(/[\\\-`^~']/g, (character) => `\\${names[character]}`)
    .replaceAll(/[^\x20-\x7e]/gu, (character) => `\\[u${codeOf(character)}]`)
}

function capitalised(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1)
}
