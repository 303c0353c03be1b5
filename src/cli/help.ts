import { styleText } from 'node:util'
import { type Command, Help } from 'commander'

/** A part of a help below those that commander writes: a paragraph, or terms with what each means. */
export interface Section {
  readonly title?: string
  readonly text?: string
  readonly rows?: readonly (readonly [term: string, is: string])[]
  /** Terms that are whole lines to copy. */
  readonly lines?: boolean
}

/** Columns that a meaning must have beside its term. With fewer it stands below. */
const BESIDE_MIN = 30
const INDENT = 6

/** How a help looks, whatever the width of the terminal, and the sections below it. */
export function helpWith(sections: readonly Section[]): Partial<Help> {
  return {
    minWidthToWrap: 1,
    styleTitle: (title) => styleText('bold', title),
    subcommandTerm: (command) => Help.prototype.subcommandTerm(command).replace(' [options]', ''),
    formatItem: (term, termWidth, is, helper) => item(term, termWidth, is, helper),
    formatHelp: (command: Command, helper: Help) => {
      const own = Help.prototype.formatHelp.call(helper, command, helper)
      return `${own}\n${sections.map((section) => formatted(section, helper)).join('\n')}`
    },
  }
}

function formatted({ title, text, rows = [], lines = false }: Section, helper: Help): string {
  const heading = title === undefined ? [] : [helper.styleTitle(`${title}:`)]
  const paragraph = text === undefined ? [] : [helper.boxWrap(text, helper.helpWidth ?? 80)]
  const termWidth = lines ? Number.POSITIVE_INFINITY : Math.max(...rows.map(([term]) => term.length))
  return `${[...heading, ...paragraph, ...rows.map(([term, is]) => item(term, termWidth, is, helper))].join('\n')}\n`
}

function item(term: string, termWidth: number, is: string, helper: Help): string {
  const width = helper.helpWidth ?? 80
  if (width - termWidth - 4 >= BESIDE_MIN) return Help.prototype.formatItem.call(helper, term, termWidth, is, helper)
  const below = helper.boxWrap(is, width - INDENT).replaceAll(/^/gm, ' '.repeat(INDENT))
  return is ? `  ${term}\n${below}` : `  ${term}`
}
