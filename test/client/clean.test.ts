import { expect, test } from 'vitest'
import { cleanText, withoutInvisible } from '../../src/client/clean.ts'

test.each([
  ['plain text', 'holiday.jpg', 'holiday.jpg'],
  ['letters of any script', 'Ferienfotos für Ωmega 写真 📦.zip', 'Ferienfotos für Ωmega 写真 📦.zip'],
  ['a terminal escape', 'a\u001b[31mred', 'a [31mred'],
  ['an eight-bit escape', 'a\u009b31mred', 'a 31mred'],
  ['a title sequence with its bell', '\u001b]0;owned\u0007x', ']0;owned x'],
  ['line ends', 'one\r\ntwo\u2028three\u2029four', 'one two three four'],
  ['a backspace', 'evil\b\b\b\bgood', 'evil good'],
  ['a bidi override', 'invoice\u202egpj.exe', 'invoice gpj.exe'],
  ['bidi isolates', '\u2066a\u2069b', 'a b'],
  ['a zero-width space and joiner', 'a\u200bb\u200dc', 'a b c'],
  ['a byte order mark', '\ufeffa', 'a'],
  ['half a surrogate pair', 'a\ud800b', 'a b'],
  ['private use', 'a\ue000b', 'a b'],
  ['tags nobody sees', 'a\u{e0041}b', 'a b'],
  ['runs of spaces', '  a \t\u00a0\u3000 b  ', 'a b'],
  ['nothing visible', '\u0000\u200b', ''],
  ['letters in pieces', 'e\u0301', 'é'],
  ['a blank that is no space', 'a\u2800b', 'a b'],
  ['fillers that show as nothing', '\u3164\u115f\u1160\uffa0', ''],
  ['a selector behind a letter', 'a\ufe0fb\u{e0100}', 'a b'],
  ['a joiner inside a Latin word', 'pay\u200dpal', 'pay pal'],
  ['a joiner at an end', '\u200dمی\u200c', 'می'],
  ['an emoji of several', '👨‍👩‍👧 family.txt', '👨‍👩‍👧 family.txt'],
  ['an emoji with its selector', '❤️‍🔥.txt', '❤️‍🔥.txt'],
  ['a Persian word with its joiner', 'می‌خواهم.txt', 'می‌خواهم.txt'],
  ['a Devanagari letter with its joiner', 'क्‍ष.txt', 'क्‍ष.txt'],
])('%s', (_, attacker, shown) => {
  expect(cleanText(attacker)).toBe(shown)
})

test('what is longer than allowed is cut, with a mark, between characters', () => {
  expect(cleanText('a'.repeat(200))).toBe('a'.repeat(200))
  expect(cleanText('a'.repeat(201))).toBe(`${'a'.repeat(199)}…`)
  expect(cleanText('📦📦📦', 2)).toBe('📦…')
  expect([...cleanText('x'.repeat(1_000_000), 64)]).toHaveLength(64)
})

test('a line of text keeps its spaces, its length and its spelling', () => {
  const line = `  a  b\u3000${'x'.repeat(300)} e\u0301 `
  expect(withoutInvisible(line)).toBe(line)
  expect(withoutInvisible('a\u001b[31m\u202eb')).toBe('a [31m b')
})
