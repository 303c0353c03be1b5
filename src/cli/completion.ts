import type { Argument, Option } from 'commander'
import type { CommandSpec } from './command-spec.ts'
import { EXIT } from './exit.ts'

/** Shells that complete command lines, each with the writer of its script. */
const SCRIPTS = { bash: forBash, zsh: forZsh, fish: forFish }

/** Words, files or directories that may stand in a place of a command line, or nothing that is known beforehand. */
type Values = readonly string[] | 'files' | 'directories' | 'nothing'

/** A place for values, under the name that the help gives it. */
interface Place {
  readonly name: string
  readonly values: Values
  /** Takes any number of values. */
  readonly variadic: boolean
}

interface Flag {
  /** Forms in which it is typed: ['-o', '--output']. */
  readonly names: readonly string[]
  readonly is: string
  readonly value?: Place & { readonly optional: boolean }
  /** Stands alone on its command line. */
  readonly alone?: boolean
}

/** A command, or with an empty name what stands before one. */
interface Completed {
  readonly name: string
  readonly is: string
  readonly flags: readonly Flag[]
  readonly places: readonly Place[]
}

const HELP: Flag = { names: ['-h', '--help'], is: 'show how it is used', alone: true }
const VERSION: Flag = { names: ['-V', '--version'], is: 'show the version', alone: true }

/** `pairlay completion`: prints the script for a shell. */
export async function completion(shell: keyof typeof SCRIPTS, commands: readonly CommandSpec[]): Promise<number> {
  const completed: Completed[] = commands.map(({ name, does, options, arguments: given = [] }) => ({
    name,
    is: brief(does),
    flags: [...options.map(flagOf), HELP],
    places: given.map((argument) => placeOf(argument.name(), argument.variadic, argument)),
  }))
  completed.push({ name: 'help', is: HELP.is, flags: [], places: [commandOf(completed)] })
  process.stdout.write(SCRIPTS[shell](completed))
  return EXIT.delivered
}

function flagOf({ short, long, flags, description, required, optional, ...option }: Option): Flag {
  const names = [short, long].flatMap((name) => name ?? [])
  const is = brief(description)
  if (!required && !optional) return { names, is }
  const [, name = ''] = /[<[](\w+)/.exec(flags) ?? []
  return { names, is, value: { ...placeOf(name, false, option), optional } }
}

/** A place whose name says what stands there, unless it has choices. */
function placeOf(name: string, variadic: boolean, { argChoices }: Pick<Argument | Option, 'argChoices'>): Place {
  const values = argChoices ?? (name === 'path' ? 'files' : name === 'dir' ? 'directories' : 'nothing')
  return { name, values, variadic }
}

function commandOf(commands: readonly Completed[]): Place {
  return { name: 'command', values: commands.map(({ name }) => name), variadic: false }
}

/** The first part of a sentence: a list of candidates has no room for more. */
function brief(text: string): string {
  return text.split(/; | \(default/, 1)[0] ?? ''
}

/** Text as one word for a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** Bash completes file names by itself where the function finds nothing, so everything else forbids it that. */
function forBash(commands: readonly Completed[]): string {
  const completing = (values: Values) =>
    typeof values === 'string' ? `_pairlay_${values}` : `_pairlay_words '${values.join(' ')}'`
  const program = { name: "''", is: '', flags: [HELP, VERSION], places: [commandOf(commands)] }
  const cases = [program, ...commands].map(({ name, flags, places }) => {
    // A value goes before a place: both may be in the same one.
    const valued = new Map<string, string[]>()
    for (const { names, value } of flags) {
      if (!value) continue
      const does = completing(value.values)
      valued.set(does, [
        ...(valued.get(does) ?? []),
        ...names.map((each) => `${each}/${value.optional ? '[0-9]*' : '*'}`),
      ])
    }
    const lines = [...valued].map(([does, patterns]) => `        ${patterns.join(' | ')}) ${does} ;;`)
    lines.push(`        */options) ${completing(flags.flatMap(({ names }) => names))} ;;`)
    for (const [at, { values, variadic }] of places.entries()) {
      if (values !== 'nothing') lines.push(`        */${variadic ? '*' : at}) ${completing(values)} ;;`)
    }
    return `    ${name})\n        case $prev/$place in\n${lines.join('\n')}\n        *) _pairlay_nothing ;;\n        esac\n        ;;`
  })
  return `# Completes command lines of pairlay in bash.
_pairlay_files() { :; }
_pairlay_nothing() { compopt +o default +o bashdefault 2>/dev/null; }
_pairlay_directories() { compopt -o dirnames +o default +o bashdefault 2>/dev/null; }
_pairlay_words() {
    _pairlay_nothing
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_pairlay() {
    local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command='' place=0 ended='' word
    # An option with its value behind = comes as three words.
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=\${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for word in "\${COMP_WORDS[@]:1:COMP_CWORD - 1}"; do
        if [[ $word == -- ]]; then
            ended=yes
        elif [[ $word == -?* && -z $ended ]]; then
            continue
        elif [[ -z $command ]]; then
            command=$word
        else
            place=$((place + 1))
        fi
    done
    if [[ -n $ended ]]; then
        prev=''
    elif [[ $cur == -* ]]; then
        place=options
    fi
    COMPREPLY=()
    case $command in
${cases.join('\n')}
    *) _pairlay_nothing ;;
    esac
}
complete -o bashdefault -o default -F _pairlay pairlay
`
}

const ZSH_ACTIONS = { files: '_files', directories: '_files -/', nothing: '()' }

function forZsh(commands: readonly Completed[]): string {
  const escaped = (text: string) => text.replaceAll(/[\\:[\]]/g, String.raw`\$&`)
  const valued = ({ name, values }: Place) =>
    `:${name}:${typeof values === 'string' ? ZSH_ACTIONS[values] : `(${values.join(' ')})`}`
  const specs = ({ flags, places }: Completed) => [
    ...flags.map(({ names, is, value, alone }) => {
      const takes = value ? `${value.optional ? ':' : ''}${valued(value)}` : ''
      const [first = '', ...others] = value ? names.map((each) => each + (/^--/.test(each) ? '=' : '+')) : names
      const all = others.length > 0 ? `{${[first, ...others].join(',')}}` : first
      return `${quoted(alone ? '(- *)' : `(${names.join(' ')})`)}${all}${quoted(`[${escaped(is)}]${takes}`)}`
    }),
    ...places.map((place, at) => quoted(`${place.variadic ? '*' : at + 1}${valued(place)}`)),
  ]
  const lines = (all: readonly string[], indent: string) => all.map((each) => ` \\\n${indent}${each}`).join('')
  const described = commands.map(({ name, is }) => `        ${quoted(`${name}:${escaped(is)}`)}`)
  const cases = commands.map(
    (command) => `    ${command.name})\n        _arguments -S${lines(specs(command), ' '.repeat(12))}\n        ;;`,
  )
  const program = specs({ name: '', is: '', flags: [HELP, VERSION], places: [] })
  return `#compdef pairlay
# Completes command lines of pairlay in zsh.
_pairlay() {
    local context state state_descr line
    typeset -A opt_args
    local -a commands=(
${described.join('\n')}
    )
    _arguments -C${lines([...program, "'1: :->command'", "'*:: :->rest'"], ' '.repeat(8))}
    case $state in
    command) _describe -t commands command commands; return ;;
    rest) ;;
    *) return ;;
    esac
    case $line[1] in
${cases.join('\n')}
    esac
}
if [[ $funcstack[1] == _pairlay ]]; then
    _pairlay "$@"
else
    compdef _pairlay pairlay
fi
`
}

function forFish(commands: readonly Completed[]): string {
  const line = (when: string, ...rest: readonly string[]) => ['complete -c pairlay', `-n '${when}'`, ...rest].join(' ')
  const fishQuoted = (text: string) => `'${text.replaceAll(/['\\]/g, String.raw`\$&`)}'`
  const completing = (values: Values, required: string) => {
    if (values === 'files') return `${required} -F`
    if (values === 'directories') return `${required} -f -a '(__fish_complete_directories)'`
    return values === 'nothing' ? `${required} -f` : `${required} -f -a ${fishQuoted(values.join(' '))}`
  }
  const flagLine = (when: string, { names, is, value }: Flag) => {
    const typed = names.map((each) => each.replace(/^--/, '-l ').replace(/^-(?!l )/, '-s '))
    const takes = value && !value.optional ? [completing(value.values, '-r')] : []
    return line(when, ...typed, ...takes, '-d', fishQuoted(is))
  }
  const lines = commands.flatMap(({ name, is, flags, places }) => {
    const when = `__fish_seen_subcommand_from ${name}`
    return [
      line('__fish_use_subcommand', '-a', name, '-d', fishQuoted(is)),
      ...flags.map((flag) => flagLine(when, flag)),
      ...places.flatMap(({ values }) => {
        const isWords = typeof values !== 'string'
        const none = isWords ? `${when}; and not __fish_seen_subcommand_from ${values.join(' ')}` : when
        return values === 'nothing' ? [] : line(none, completing(values, ''))
      }),
    ]
  })
  return `# Completes command lines of pairlay in fish.
complete -c pairlay -f
${[HELP, VERSION].map((flag) => flagLine('__fish_use_subcommand', flag)).join('\n')}
${lines.join('\n')}
`
}
