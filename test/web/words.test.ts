import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { PAIRING_ERRORS } from '../../src/client/index.ts'
import { ENDS } from '../../src/web/ends.ts'
import { fill, WORDS } from '../../src/web/words.ts'

const FOLDER = fileURLToPath(new URL('../../src/web', import.meta.url))
const SOURCES = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'words.ts')
  .map((name) => [name, readFileSync(join(FOLDER, name), 'utf8')] as const)

const ALL = SOURCES.map(([, text]) => text).join('\n')

/** Parts that are filled into a word, as they are written. */
function filledInto(word: string): string {
  const calls = [...ALL.matchAll(new RegExp(`fill\\(\\s*[^()]*'${word}',\\s*(\\{[^;]*?\\}|\\w+)\\s*\\)`, 'gs'))]
  return calls.map(([, given = '']) => given).join(' ')
}

describe('words', () => {
  test.each(Object.keys(WORDS))('%s is used', (word) => {
    expect(ALL).toMatch(new RegExp(`WORDS\\.${word}\\b|fill\\([^)]*'${word}'`))
  })

  test.each(Object.entries(WORDS).filter(([, text]) => text.includes('{')))(
    '%s has every part filled in',
    (word, text) => {
      const names = [...text.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
      const given = filledInto(word)
      const isSpread = /\.\.\.|^\w+( |$)/.test(given)
      // Around an element the sentence is cut at its part.
      const uses = ALL.split(`WORDS.${word}`)
        .slice(1)
        .filter((rest) => /^\W/.test(rest))
      const uncut = uses.filter((rest) => !/^[^\n]{0,40}\.(split|replace)\('\{/.test(rest))
      expect(uncut).toEqual([])
      if (uses.length === 0) for (const name of names) expect(isSpread || given.includes(name), name).toBe(true)
    },
  )

  test('a part that is filled in may look like another', () => {
    expect(fill('otherPlace', { address: '{address}' })).toContain('{address}')
    expect(fill('remove', { name: '$&' })).toBe('Remove $&')
  })
})

describe('ends', () => {
  test('there is one for each code of the SDK, and no other', () => {
    expect(Object.keys(ENDS).sort()).toEqual(Object.keys(PAIRING_ERRORS).sort())
  })

  test.each(Object.entries(ENDS))(
    '%s says what happened in a few words, and ends its sentences',
    (_, { title, more }) => {
      expect(title).toMatch(/^[A-Z][^.]{3,44}$/)
      expect(more).toMatch(/^$|[.]$/)
    },
  )
})
