import { describe, expect, test } from 'vitest'
import { distinct, nameForDownload, pathInArchive } from '../../src/web/save/names.ts'

describe('names', () => {
  test.each([
    ['photo.jpg', 'photo.jpg'],
    ['a/b/c.txt', 'c.txt'],
    ['..\\..\\evil.exe', 'evil.exe'],
    ['.bashrc', 'bashrc'],
    ['..', 'file'],
    ['', 'file'],
    ['a\u202Egpj.exe', 'a gpj.exe'],
    ['line\nbreak.txt', 'line break.txt'],
    ['what?.txt', 'what_.txt'],
    ['a:b|c<d>"e*.txt', 'a_b_c_d__e_.txt'],
    ['CON', '_CON'],
    ['con.txt', '_con.txt'],
    ['lpt¹.log', '_lpt¹.log'],
    ['console.txt', 'console.txt'],
    ['trailing. . ', 'trailing'],
    ['صورة.png', 'صورة.png'],
    [`${'n'.repeat(300)}.tar.gz`, `${'n'.repeat(120)}.tar.gz`],
    // No half of a character is left.
    [`${'n'.repeat(119)}😀.png`, `${'n'.repeat(119)}.png`],
  ])('%j is saved as %j', (path, name) => expect(nameForDownload(path)).toBe(name))

  test('equal names in any case of letters get a number', () => {
    expect(distinct(['a.txt', 'a.txt', 'A.TXT', 'b', 'b', 'a (2).txt'])).toEqual([
      'a.txt',
      'a (2).txt',
      'A (3).TXT',
      'b',
      'b (2)',
      'a (2) (2).txt',
    ])
  })

  test('a hundred thousand equal names take no more than a moment', () => {
    const names = distinct(Array.from({ length: 100_000 }, () => 'x.txt'))
    expect(new Set(names).size).toBe(100_000)
  })

  test.each([
    ['folder/.gitignore', 'folder/.gitignore'],
    ['.hidden/a', 'hidden/a'],
    ['a/b:c/d?.txt', 'a/b_c/d_.txt'],
    ['a/..hidden', 'a/..hidden'],
    ['a/b\\..\\c', 'a/b_.._c'],
    ['a/aux.h', 'a/_aux.h'],
  ])('%j is %j in an archive', (path, inArchive) => expect(pathInArchive(path)).toBe(inArchive))
})
