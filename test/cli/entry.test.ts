import { stat } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { readEntry } from '../../src/cli/entry.ts'
import type { Terminal } from '../../src/cli/terminal.ts'

const RELAY = 'https://relay.example'

function entryOf(link: string) {
  return readEntry(link, { attended: false } as Terminal, { relay: RELAY, yes: true })
}

test('a link whose fragment was written with percent signs leads to the same code', async () => {
  expect(await entryOf(`${RELAY}/#K7QM3%2DXPDT28`)).toEqual(await entryOf(`${RELAY}/#K7QM3-XPDT28`))
})

test('a link with percent signs that stand for nothing has no code', async () => {
  await expect(entryOf(`${RELAY}/#K7QM3%ZZXPDT28`)).rejects.toMatchObject({ code: 'code_invalid' })
})

const CODE = 'K7QM3-XPDT28'
const ELSEWHERE = 'http://[::1]:8080'

test.each([
  `${CODE}\n`,
  `"${CODE}"`,
  `\u201c${CODE}\u201d.`,
  `\`${CODE}\``,
  `(${CODE})`,
  `Code: ${CODE}`,
  `#${CODE}`,
  `pairlay receive ${CODE}`,
  `  npx pairlay receive ${CODE}\n`,
  `<${RELAY}/#${CODE}>`,
  `${RELAY}/#${CODE}&utm_source=chat`,
  `${RELAY}/?utm_source=chat#${CODE}?fbclid=1`,
])('what was copied with something around it, %j, leads to its code', async (copied) => {
  expect(await entryOf(copied)).toEqual({ relay: RELAY, code: CODE })
})

test.each([`pairlay receive ${CODE} --relay ${ELSEWHERE}`, `pairlay receive ${CODE} --relay '${ELSEWHERE}'`])(
  'the line for pasting, at the question, leads to its relay: %s',
  async (line) => {
    const said: string[] = []
    const terminal = { attended: false, say: (text: string) => void said.push(text) } as unknown as Terminal
    expect(await readEntry(line, terminal, { relay: RELAY })).toEqual({ relay: ELSEWHERE, code: CODE })
    expect(said).toEqual([`The link leads to the relay at ${ELSEWHERE}.`])
  },
)

test('a long text with nothing but spaces around is refused, and its end is not looked for', async () => {
  const attacker = `${' '.repeat(1_000_000)}x`
  await expect(entryOf(attacker)).rejects.toMatchObject({ code: 'code_invalid' })
})

test.each([`${RELAY}/`, `${RELAY}/#`, ` ${RELAY}/path `])(
  'a link without a code, %j, is told from a mistyped code',
  async (link) => {
    await expect(entryOf(link)).rejects.toMatchObject({
      code: 'usage',
      message: 'This link has no code behind a #. Copy the whole link, or enter the code.',
    })
  },
)

test('the built command can be executed: npx takes an earlier link for a clone in the same place as it is', async () => {
  const { mode } = await stat(new URL('../../packages/cli/bin/pairlay.js', import.meta.url))
  expect((mode & 0o111).toString(8)).toBe('111')
})
