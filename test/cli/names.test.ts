import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { localPaths, partPath } from '../../src/node/local-paths.ts'
import { numbered, safeName } from '../../src/node/names.ts'
import { shownDevice, shownName, shownText } from '../../src/node/shown.ts'
import { holds } from '../support/property.ts'

/** Names that lean to what is dangerous. */
const anyName = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({
    unit: fc.constantFrom(...'./\\ -a\u001b\n\u202e:🎉\u200d\ufe0f\u2800\u0301م`', '$('),
    maxLength: 12,
  }),
  fc
    .tuple(
      fc.constantFrom('', '../', 'C:\\', '.', ' '),
      fc.constantFrom('con', 'PRN', 'Aux', 'nul', 'COM1', 'lpt¹', 'conin$', 'a', 'b'.repeat(238), 'c'.repeat(241)),
      fc.constantFrom('', '.txt', ' .txt', '.', ' ', '...', '.part', '.PART', ' (2)'),
    )
    .map((parts) => parts.join('')),
)

/** Windows takes these for devices, whatever follows the first dot. */
const WINDOWS_DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])[ ]*(\.|$)/i

describe('a safe name', () => {
  holds('is one name, visible, of at most 240 bytes, and creates what it says anywhere', 2_000, anyName, (name) => {
    const safe = safeName(name)
    expect(safe).not.toBe('')
    expect(Buffer.byteLength(safe)).toBeLessThanOrEqual(240)
    expect(safe).not.toMatch(/[/\\<>:"|?*]/)
    expect(safe).not.toMatch(/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u202a-\u202e\u2060-\u206f\ufeff]/u)
    expect(safe.replaceAll(/[\p{Default_Ignorable_Code_Point}\s\u2800]/gu, '')).not.toBe('')
    expect(safe).not.toMatch(/^[.\s-]|[.\s]$/)
    expect(safe).not.toMatch(/`|\$\(/)
    expect(safe).not.toMatch(WINDOWS_DEVICE)
  })

  holds('stays what it is when it is made safe again', 1_000, anyName, (name) => {
    expect(safeName(safeName(name))).toBe(safeName(name))
  })

  const harmless = fc.stringMatching(/^[A-Za-z0-9_ÄÖÜäöüß日本🎉][A-Za-z0-9_ÄÖÜäöüß日本🎉 .-]{0,30}[A-Za-z0-9]$/u)
  holds('is the name itself when that is harmless', 500, harmless, (name) => {
    fc.pre(!WINDOWS_DEVICE.test(name))
    expect(safeName(name)).toBe(name)
  })
})

describe('the safe names of an offer', () => {
  const segment = anyName.map((name) => name.replaceAll('/', '_') || '_')
  const names = fc.uniqueArray(fc.oneof(segment, fc.constantFrom('a', 'A', 'a (2)')), { minLength: 1, maxLength: 20 })
  holds('are all different, on a disk that ignores case too, at every level', 1_000, names, (sent) => {
    for (const folder of ['', 'folder/']) {
      const safe = [...localPaths(sent.map((name) => ({ path: folder + name })))]
      expect(new Set(safe.map((path) => path.normalize('NFC').toLowerCase())).size).toBe(sent.length)
    }
  })

  test('are many that are alike, and each is looked at once', () => {
    const sent = Array.from({ length: 50_000 }, (_, n) => `a${'\u200b'.repeat(n % 250)}${'A'.repeat(n / 250)}`)
    const safe = [...localPaths(sent.map((path) => ({ path })))]
    expect(new Set(safe.map((name) => name.toLowerCase())).size).toBe(50_000)
    const same = [...localPaths(sent.map(() => ({ path: 'a' })))]
    expect(same.at(-1)).toBe('a (50000)')
  })

  test('that do not clash are left alone, in their order', () => {
    const sent = ['b', 'a/.x', 'a/y', 'c']
    expect([...localPaths(sent.map((path) => ({ path })))]).toEqual(sent)
  })
})

describe('a name that has to be changed', () => {
  test.each([
    ['..\\..\\windows\\system.ini', 'system.ini'],
    ['a:b*c?d"e<f>g|h', 'a_b_c_d_e_f_g_h'],
    ['eight bits\u009b2J', 'eight bits 2J'],
    ['two\nlines\r', 'two lines'],
    ['zero\u200bwidth', 'zero width'],
    ['trailing dots... ', 'trailing dots'],
    ['nul.txt', '_nul.txt'],
    ['\u0000', 'received'],
    ['\u2800\u3164', 'received'],
  ])('%j is %j', (sent, safe) => {
    expect(safeName(sent)).toBe(safe)
  })

  test('is whole up to 240 bytes, and beyond it is cut before its extension', () => {
    const whole = `${'x'.repeat(235)}.docx`
    expect(safeName(whole)).toBe(whole)
    expect(safeName(`${'x'.repeat(250)}.docx`)).toBe(whole)
    expect(safeName(`${'x'.repeat(248)}.tar.gz`)).toBe(`${'x'.repeat(233)}.tar.gz`)
    expect(safeName('x'.repeat(250))).toBe('x'.repeat(240))
    expect(safeName(`a.${'x'.repeat(250)}`)).toBe(`a.${'x'.repeat(238)}`)
    expect(safeName(`${'x'.repeat(250)}. pdf`)).toBe('x'.repeat(240))
  })

  test('never becomes that of a hidden file, when nothing of what is before its extension fits', () => {
    const manyMarks = `a${'\u0332'.repeat(120)}`
    expect(safeName(`${manyMarks}.bash_profile`)).toBe('_.bash_profile')
    expect(safeName(`${manyMarks}.zshenv`)).toBe('_.zshenv')
  })

  test('is never cut within a character that is made of several', () => {
    expect(safeName(`${'👨‍👩‍👧'.repeat(14)}.png`)).toBe(`${'👨‍👩‍👧'.repeat(13)}.png`)
    expect(safeName(`${'x'.repeat(238)}e\u0323\u0302`)).toBe('x'.repeat(238))
  })

  test('has a temporary name that fits where its own does', () => {
    const token = Buffer.alloc(16).toString('base64url')
    const part = partPath('ä'.repeat(127), token)
    expect(Buffer.byteLength(part)).toBeLessThanOrEqual(255)
    expect(part).toMatch(/^ä+~[0-9a-f]{16}\.0{26}\.part$/)
  })

  test('gets its number before the extension, or the extensions of what was compressed or signed', () => {
    const reports = [...localPaths(['report.final.pdf', 'REPORT.final.PDF'].map((path) => ({ path })))]
    expect(reports).toEqual(['report.final.pdf', 'REPORT.final (2).PDF'])
    const second = (name: string) => numbered(safeName(name), 2)
    const compressed = ['a.tar.gz', 'dump.sql.xz', 'a.txt.asc', 'a.gz', 'a.7z', 'x.jpeg'].map(second)
    expect(compressed.join()).toBe('a (2).tar.gz,dump (2).sql.xz,a (2).txt.asc,a (2).gz,a (2).7z,x (2).jpeg')
    expect(['v1.2', 'Dr. Who', '.bashrc', 'a'].map(second).join()).toBe('v1.2 (2),Dr. Who (2),_bashrc (2),a (2)')
  })
})

describe('characters without a width in a name', () => {
  test.each([
    ['a family', '👨‍👩‍👧 family.txt'],
    ['an eye in a speech bubble, with variation selectors', '👁️‍🗨️.txt'],
    ['a flag made of tags', '🏴󠁧󠁢󠁳󠁣󠁴󠁿.png'],
    ['a keycap', '1️⃣.txt'],
    ['Persian', 'می‌خواهم.txt'],
    ['Persian behind a digit', '۲۰‌ساله.txt'],
    ['Devanagari', 'क्‍ष.txt'],
    ['a half form at the end of a word', 'क्‍.txt'],
    ['Sinhala', 'ශ්‍රී ලංකා.txt'],
    ['a variant of a Chinese character', '葛󠄀城.txt'],
    ['Braille', '⠓⠑⠇⠇⠕⠀⠺⠕⠗⠇⠙.txt'],
  ])('stay where they belong: %s', (_, name) => {
    expect(safeName(name)).toBe(name)
  })

  test.each([
    ['pay\u200dpal.txt', 'paypal.txt'],
    ['a\u200d.txt', 'a.txt'],
    ['a\ufe0fb', 'ab'],
    ['soft\u00adhyphen', 'softhyphen'],
    ['mark\u200f.txt', 'mark.txt'],
    ['turned\u202egpj.exe', 'turned gpj.exe'],
    ['isolated\u2066gpj.exe', 'isolated gpj.exe'],
    ['tag\u{e0041}', 'tag'],
  ])('go where they glue nothing: %j', (name, expected) => {
    expect(safeName(name)).toBe(expected)
  })

  test.each([
    '\u2800',
    '\u3164',
    '\u115f',
    '\uffa0',
    '\ufe0f',
    '\u{e0100}',
    '\u034f',
    '\u200d',
    ' \u00a0\u2003',
    '\u2800.\u2800',
  ])('make no name: %j', (name) => {
    expect(safeName(name)).toBe('received')
  })
})

test('a safe name has no command that a shell would run within double quotes', () => {
  expect(['$(touch x)', 'a`touch x`'].map(safeName)).toEqual(['_(touch x)', 'a_touch x_'])
  for (const harmless of ['Budget $5.txt', '~$doc.docx']) expect(safeName(harmless)).toBe(harmless)
})

test('runs of spaces in a name stay', () => {
  expect(safeName('a  b   c.txt')).toBe('a  b   c.txt')
})

describe('a text at a terminal', () => {
  test('keeps tabs, runs of spaces, newlines and joiners', () => {
    const text = 'if x:\n\treturn "a  b"\n\n  می‌خواهم 👨‍👩‍👧 \u200f\n'
    expect(shownText(text)).toBe(text)
    expect(shownText('one\r\ntwo\r\n')).toBe('one\ntwo\n')
  })

  test('has a visible mark in place of what a terminal would obey', () => {
    expect(shownText('\u001b[31m\u0000\u007f\u009b2J\rx\u202egpj\u2066')).toBe('␛[31m␀␡<U+009B>2J␍x<U+202E>gpj<U+2066>')
  })

  test('of an attacker, in a line of ours, begins no line of its own', () => {
    const attacker = 'notes:.txt).\nSaved payroll.pdf.\tx\r\ny'
    expect(shownText(attacker, '')).toBe('notes:.txt).␊Saved payroll.pdf.␉x␊y')
  })
})

test('a name in a line of ours has a mark for what nobody sees of it, and keeps what a script or an emoji needs', () => {
  expect(shownName(' lead/NUL /\ufeffbom\u200b\u00a0')).toBe('␠lead/NUL␠/<U+FEFF>bom<U+200B><U+00A0>')
  const needed = 'می‌خواهم 👨‍👩‍👧 a  b'
  expect(shownName(needed)).toBe(needed)
})

describe('what a device calls itself', () => {
  test('looks like no number, whatever its digits are', () => {
    const names = ['482 913', '48-29-13', '４８２９１３', '٤٨٢ ٩١٣', '④⑧②', '4 . 8 . 2', 'vm-12', 'iPhone 15 Pro']
    const shown = '### ###, ##-##-##, ######, ### ###, ###, # . # . #, vm-12, iPhone 15 Pro'
    expect(names.map(shownDevice).join(', ')).toBe(shown)
  })

  test('ends no quotation, and is cut to 64 characters', () => {
    expect(shownDevice('Pixel"). Its number: 482 913 (“ok”')).toBe("Pixel'). Its number: ### ### ('ok'")
    expect(shownDevice('x'.repeat(100))).toBe(`${'x'.repeat(63)}…`)
  })
})
