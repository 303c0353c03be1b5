import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { COMMANDS } from '../../src/cli/commands.ts'
import { withLastTest } from '../support/leftovers.ts'
import { describeTerminal, Program, runHere, temporaryDirectory } from './support.ts'

const PROMPT = 'ready>'
/** Shows what a command line came to, instead of carrying it out. The text of this line itself has no `=>`. */
const SHOW = String.raw`printf '\n\75> '; printf '<%s>' "$@"; printf '\n'`

/** Shells, each with the name of its start file, what is in that beside the script, and how it is started. */
const SHELLS = {
  bash: {
    startFile: 'start',
    prepared: `PS1='${PROMPT}'; bind 'set enable-bracketed-paste off'; pairlay() { ${SHOW}; }`,
    started: 'bash --noprofile --rcfile ../start -i',
  },
  zsh: {
    startFile: '.zshrc',
    prepared: `PS1='${PROMPT}'; autoload -Uz compinit; compinit -D -u; pairlay() { ${SHOW}; }`,
    started: 'env ZDOTDIR=.. zsh -d -i',
  },
  fish: {
    startFile: 'start',
    prepared: `function fish_prompt; printf '${PROMPT}'; end; function pairlay; ${SHOW.replace('"$@"', '$argv')}; end`,
    started: "fish --no-config -C 'source ../start' -i",
  },
} as const
type ShellName = keyof typeof SHELLS

/** A shell at a terminal, with the script for it, in a folder with a few files. */
async function openShell(name: ShellName) {
  const { startFile, prepared, started } = SHELLS[name]
  const { stdout } = await runHere(['completion', name])
  const { at } = await temporaryDirectory({
    'here/': '',
    'here/fol der/': '',
    ...Object.fromEntries(['first.txt', 'a file.txt', '-rf'].map((file) => [`here/${file}`, ''])),
    [startFile]: `${prepared}\n${stdout}`,
  })
  const args = ['--quiet', '--flush', '--return', '--command', started, '/dev/null']
  const env = { HOME: at('.'), TERM: 'xterm', ENV: '' }
  const program = new Program('script', args, { cwd: at('here'), env, stdin: 'open' })
  withLastTest(() => program.kill())
  const text = () => program.stdout.toString()
  let lines = 0
  const ready = async () => {
    await program.until('the prompt', () => text().lastIndexOf(PROMPT) > text().lastIndexOf('=> ') || undefined)
  }
  /** Types the rest of a line that begins with `pairlay`, and gives the arguments that it has come to. */
  const type = async (rest: string) => {
    await ready()
    await program.write(`pairlay ${rest}\n`)
    lines++
    const line = await program.until(
      `what became of ${JSON.stringify(rest)}`,
      () => [...text().matchAll(/^=> (.*?)\r?\n/gm)][lines - 1],
    )
    return line[1]
  }
  return { type }
}

/** Lines as they are typed, with TAB where they have to be completed, and the arguments that they come to. */
const TYPED: Readonly<Record<string, string>> = {
  'comp\t z\t': '<completion><zsh>',
  'help com\t': '<help><completion>',
  'send fi\t': '<send><first.txt>',
  'send a\t': '<send><a file.txt>',
  'send -- -r\t': '<send><--><-rf>',
  'send --js\t--rec\t2 fi\t': '<send><--json><--receivers><2><first.txt>',
  'send --relay fi\t': '<send><--relay><fi>',
  'rec\t--over\t': '<receive><--overwrite>',
  'receive fi\t': '<receive><fi>',
  'receive -o fi\t': '<receive><-o><first.txt>',
  'receive --into f\t': '<receive><--into><fol der>',
  'config --un\t r\t': '<config><--unset><relay>',
  'config relay fi\t': '<config><relay><fi>',
  'serve --ho\tfi': '<serve><--host><fi>',
  'unknown fi\t': '<unknown><fi>',
}

describeTerminal('completion', () => {
  for (const name of Object.keys(SHELLS) as ShellName[]) {
    const isHere = spawnSync(name, ['--version']).status === 0 || process.env.REQUIRE_ALL
    const title = `in ${name} gives commands, options, choices and files, each in its place`
    const body = async () => {
      const { type } = await openShell(name)
      for (const [typed, args] of Object.entries(TYPED)) {
        const came = (await type(typed)).replaceAll('/>', '>').replace(/(--\w+)=/, '$1><')
        expect([typed, came]).toEqual([typed, args])
      }
    }
    if (isHere) test(title, body)
    else test.skip(`${title}: SKIPPED, there is no ${name} here`, body)
  }
})

describe('the script', () => {
  test.each(Object.keys(SHELLS))('of completion for %s has each command and option of the table', async (shell) => {
    const { stdout, exitCode } = await runHere(['completion', shell])
    expect(exitCode).toBe(0)
    for (const { name, options } of COMMANDS) {
      expect(stdout.toString()).toContain(name)
      for (const { long, short } of options) {
        const typed = [long, short].flatMap((flag) => flag ?? [])
        for (const flag of typed)
          expect(stdout.toString()).toContain(shell === 'fish' ? flag.replace(/^--?/, '') : flag)
      }
    }
  })
})
