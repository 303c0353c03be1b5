import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { expect, test } from 'vitest'
import { describeTerminal, MIB, relayOfFile, Screen, temporaryDirectory } from './support.ts'

/** The README's picture: two terminals, recorded. `npm run picture` draws it anew. */

const PICTURE = new URL('../../docs/pairing.svg', import.meta.url)
const drawn = process.env.DRAW === '1'
const { env } = relayOfFile()

const COLUMNS = 64
const COLUMN_PX = 7.8
const LINE_PX = 19
const PAD_PX = 14
const BAR_PX = 26
const CODE = /[0-9A-Z]{5}-[0-9A-Z]{6}/g
/** A code, a match number, or an answer at the end of its question: in another colour. */
const BRIGHT = /[0-9A-Z]{5}-[0-9A-Z]{6}|\b\d{3} \d{3}\b|(?<=\[y\/N\] )y$/g

describeTerminal('the picture', () => {
  test('shows a pairing as it is', async () => {
    const lines = await pairing(drawn ? 256 * MIB : MIB)
    if (drawn) await writeFile(PICTURE, draw(lines))
    const written = (await readFile(PICTURE, 'utf8')).split('\n').flatMap((line) => {
      const [, content] = /<text class="line"[^>]*>(.*)<\/text>/.exec(line) ?? []
      return content === undefined ? [] : [content.replaceAll(/<[^>]*>/g, '')]
    })
    // A slow machine adds lines about waiting.
    const shown = lines.flat().map((line) => masked(escaped(line)))
    expect(shown.filter((line) => written.map(masked).includes(line))).toEqual(written.map(masked))
  })
})

/** A pairing from beginning to end: the lines that both terminals show afterwards. */
async function pairing(bytes: number): Promise<string[][]> {
  const { path, at } = await temporaryDirectory({ 'holiday.zip': '' })
  await truncate(at('holiday.zip'), bytes)
  await mkdir(at('other'))
  const sender = new Screen(['send', 'holiday.zip'], { env, cwd: path, columns: COLUMNS })
  const [code] = await sender.says(CODE)
  const receiver = new Screen(['receive'], { env, cwd: at('other'), columns: COLUMNS })
  await receiver.answer('Code: ', code)
  for (const screen of [sender, receiver]) {
    await screen.answer('[y/N] ', 'y')
  }
  await Promise.all([sender.ended(), receiver.ended()])
  const commands = ['$ pairlay send holiday.zip', '$ pairlay receive']
  return [sender, receiver].map(({ shown }, nth) => {
    const here = shown.map((line) => line.replace(hostname(), 'laptop').trimEnd())
    return [commands[nth] ?? '', ...here].filter((line) => line !== '')
  })
}

/** The line with one code and one number for all. */
function masked(line: string): string {
  return line.replaceAll(CODE, 'CODE').replaceAll(/\d+([.,:]\d+)*/g, '0')
}

function draw(windows: readonly (readonly string[])[]): string {
  const width = Math.ceil(COLUMNS * COLUMN_PX + 2 * PAD_PX)
  const rows = Math.max(...windows.map((lines) => lines.length))
  const height = BAR_PX + rows * LINE_PX + PAD_PX
  const body = windows.flatMap((lines, nth) => {
    const left = nth * (width + PAD_PX)
    return [
      `<rect x="${left}" width="${width}" height="${height}" rx="7" fill="#1b1f27"/>`,
      ...['#ff5f57', '#febc2e', '#28c840'].map(
        (fill, i) => `<circle cx="${left + 16 + 16 * i}" cy="14" r="5" fill="${fill}"/>`,
      ),
      ...lines.map((line, row) => {
        const y = BAR_PX + (row + 1) * LINE_PX - 4
        const shown = escaped(line).replaceAll(BRIGHT, '<tspan fill="#ffd479">$&</tspan>')
        return `<text class="line" x="${left + PAD_PX}" y="${y}">${shown}</text>`
      }),
    ]
  })
  const size = `${windows.length * (width + PAD_PX) - PAD_PX} ${height}`
  const style = 'text{font:13px ui-monospace,Menlo,Consolas,monospace;fill:#dfe3ea;white-space:pre}'
  const title =
    'Two terminals: a sender shows a code, a receiver enters it, both show one number, and a file is handed over'
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size}" role="img">`,
    `<title>${title}</title>`,
    `<style>${style}</style>`,
    ...body,
    '</svg>',
    '',
  ].join('\n')
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
