import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { questionOf } from '../../src/cli/approve.ts'
import { columnsOf } from '../../src/cli/format.ts'
import { confirm } from '../../src/cli/offered.ts'
import { showCode } from '../../src/cli/shown-code.ts'
import { Terminal } from '../../src/cli/terminal.ts'
import { bytesSource, type Offer, type PairingRequest } from '../../src/client/index.ts'
import { shownDevice } from '../../src/node/shown.ts'

const NUMBER = '123 456'
const CODE = 'K7QM3-XPDT28'
const WIDTHS = Array.from({ length: 91 }, (_, n) => 30 + n)

/** Names of devices and files that a person may have: long ones, of letters that take two columns, and of emoji. */
const NAMES = [
  'laptop',
  'a-device-with-a-very-long-name-without-a-single-space-in-it.example',
  'the laptop of the person who sits beside the window',
  '東京都千代田区の事務所にある一番新しい端末',
  '서울 사무실 창가 노트북',
  '👨‍👩‍👧 🏳️‍🌈 family 🎉🎉🎉 photos',
  'ＦＵＬＬＷＩＤＴＨ　ＬＥＴＴＥＲＳ',
  'می‌خواهم.txt',
]

/** Columns that a character takes in a usual terminal, by the wide ranges of Unicode that occur in these names. */
function columns(character: string): number {
  if (/\p{M}|\p{Cf}|\p{VS}/u.test(character)) return 0
  return /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u.test(
    character,
  )
    ? 2
    : 1
}

/** The rows of a terminal of this width after a text was written: it breaks a line that runs over its end. */
function rowsOf(text: string, width: number): string[] {
  const rows = ['']
  let column = 0
  for (const character of text) {
    const needed = columns(character)
    if (character === '\n' || column + needed > width) {
      rows.push('')
      column = 0
    }
    if (character === '\n') continue
    rows[rows.length - 1] += character
    column += needed
  }
  return rows
}

/** Whatever `show` writes to a terminal of this width. */
async function shownAt(width: number, show: (terminal: Terminal) => unknown): Promise<string> {
  let written = ''
  const { stderr } = process
  const before = { isTTY: stderr.isTTY, columns: stderr.columns }
  const spy = vi.spyOn(stderr, 'write').mockImplementation((text) => {
    written += text
    return true
  })
  Object.assign(stderr, { isTTY: true, columns: width })
  const terminal = new Terminal({ stdinIsData: false })
  try {
    await show(terminal)
    return written
  } finally {
    terminal.close()
    spy.mockRestore()
    Object.assign(stderr, before)
  }
}

const request = { matchNumber: '123456' } as PairingRequest
const approvals = {
  receivers: 3,
  yes: false,
  attended: true,
  open: true,
  approved: [],
  done: false,
  waiting: [request],
}

/** Everything that is said with a number or a code, about a thing or a device of this name. */
async function talk(terminal: Terminal, name: string): Promise<void> {
  const sender = { code: CODE, link: '', expiresInMs: 900_000, codeExpiresInMs: 900_000 }
  const sources = [bytesSource(new Uint8Array(7), name)]
  showCode({ sender, sources, relay: 'https://relay.example', receivers: 1, hasPage: false, qr: true }, terminal)
  terminal.event(
    'request',
    { matchNumber: '', receiverCode: '', name, fingerprint: '', verified: 1 },
    `A device has proved that it knows the code. Its number: ${NUMBER}`,
  )
  terminal.say(`    It calls itself ${shownDevice(name)}`)
  for (const typing of [false, true]) terminal.say(questionOf({ ...approvals, typing }, 2)?.text ?? '')
  const offer = { entries: [{ path: name, size: 7 }] } as unknown as Offer
  const places = { directory: '.', names: new Map([[name, name]]), was: new Map(), paths: [name] }
  const asker = {
    ask: async (_: unknown, question: string) => {
      terminal.say(question)
      return 'y'
    },
  }
  const offered = { offer, matchNumber: '123456', terminal, asker, expiresInMs: () => 0 }
  await confirm(offered, places, false, {})
}

describe.each(NAMES)('beside %s', (name) => {
  test('the number and the code stand in one row, from 30 to 120 columns', async () => {
    for (const width of WIDTHS) {
      const text = await shownAt(width, (terminal) => talk(terminal, name))
      const rows = rowsOf(text, width)
      const whole = (what: string) => rows.filter((row) => row.includes(what)).length
      const said = (what: string) => text.replaceAll('\n', ' ').split(what).length - 1
      expect([width, whole(NUMBER), whole(CODE)]).toEqual([width, said(NUMBER), said(CODE)])
      expect([said(NUMBER), said(CODE)]).toEqual([3, 2])
    }
  })
})

test('a text never takes more columns than it is taken for', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      expect(columnsOf(text)).toBeGreaterThanOrEqual([...text].reduce((sum, character) => sum + columns(character), 0))
    }),
  )
})
