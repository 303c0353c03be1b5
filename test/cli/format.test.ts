import { describe, expect, test } from 'vitest'
import { formatBytes, formatDuration, formatFiles, formatResult, Meter, wrapped } from '../../src/cli/format.ts'

const MIB = 1024 * 1024

test('bytes are told in the largest unit, with one digit after the point below ten', () => {
  const sizes = [0, 1, 2, 1023, 1024, 1536, 10 * 1024, MIB, 256 * MIB, 1024 * MIB, 5 * 1024 ** 4, 5_000 * 1024 ** 4]
  const told =
    '0 bytes, 1 byte, 2 bytes, 1023 bytes, 1.0 KiB, 1.5 KiB, 10 KiB, 1.0 MiB, 256 MiB, 1.0 GiB, 5.0 TiB, 5000 TiB'
  expect(sizes.map(formatBytes).join(', ')).toBe(told)
})

test('files are counted in words that fit', () => {
  expect([0, 1, 2].map(formatFiles)).toEqual(['no files', '1 file', '2 files'])
})

test('times are told in minutes and seconds, rounded up, and in hours when there are any', () => {
  const times = [-5, 0, 1, 1_000, 59_001, 750_000, 3_599_000, 3_723_000]
  expect(times.map(formatDuration)).toEqual(['0:00', '0:00', '0:01', '0:01', '1:00', '12:30', '59:59', '1:02:03'])
})

test('a result is told with its rate, even one that took no time', () => {
  expect(formatResult(256 * MIB, 2_500)).toBe('256 MiB in 2.5 s (102 MiB/s)')
  expect(formatResult(0, 0)).toBe('0 bytes in 0.0 s (0 bytes/s)')
})

test('lines break between words, but not inside a match number, before a unit, inside an indented line, or a word that is too long', () => {
  const breaks: [text: string, width: number, broken: string][] = [
    ['Does it show 123 456? [y/N] ', 27, 'Does it show 123 456? [y/N] '],
    ['Does it show 123 456? [y/N] ', 26, 'Does it show 123 456?\n[y/N] '],
    ['Does it show 123 456? [y/N] ', 18, 'Does it show\n123 456? [y/N] '],
    ['a longest_of_words b\n\nc d e', 3, 'a\nlongest_of_words\nb\n\nc d\ne'],
    ['    pairlay receive --relay x\n', 20, '    pairlay receive --relay x\n'],
    ['Received 2.9 MiB (28 MiB/s) of 3 bytes', 20, 'Received 2.9 MiB\n(28 MiB/s) of\n3 bytes'],
    ['runs  of   spaces stay', 20, 'runs  of   spaces\nstay'],
  ]
  for (const [text, width, broken] of breaks) expect(wrapped(text, width)).toBe(broken)
})

describe('a meter', () => {
  test('tells the share, the rate of the last five seconds, and the time that is left', () => {
    const meter = new Meter(100 * MIB, 1_000)
    for (let second = 1; second <= 10; second++) meter.update(MIB * second, 1_000 + second * 1_000)
    meter.update(40 * MIB, 12_000)
    expect(meter.elapsedMs(12_000)).toBe(11_000)
    expect(meter.rate(12_000)).toBeCloseTo((34 * MIB) / 5)
    expect(meter.line(12_000)).toBe(' 40%  40 MiB of 100 MiB  6.8 MiB/s  0:09 left')
  })

  test('foretells nothing in its first two seconds, and nothing of a pipe', () => {
    const file = new Meter(100 * MIB, 0)
    file.update(MIB, 1_000)
    expect([file.leftMs(1_000), file.line(1_000)]).toEqual([undefined, '  1%  1.0 MiB of 100 MiB  1.0 MiB/s'])
    const pipe = new Meter(undefined, 0)
    pipe.update(50 * MIB, 10_000)
    expect([pipe.leftMs(10_000), pipe.line(10_000)]).toEqual([undefined, '50 MiB  5.0 MiB/s'])
  })

  test('tells the rate of a transfer so slow that nothing comes for longer than it looks back', () => {
    const meter = new Meter(100 * MIB, 0)
    for (let seconds = 8; seconds <= 80; seconds += 8) meter.update(MIB * (seconds / 8), seconds * 1_000)
    expect(meter.rate(80_000)).toBe(MIB / 8)
    expect(meter.leftMs(80_000)).toBe(720_000)
  })

  test('tells neither a rate nor a time once nothing has moved for ten seconds', () => {
    const meter = new Meter(100 * MIB, 0)
    for (let second = 1; second <= 10; second++) meter.update(MIB * second, second * 1_000)
    expect(meter.line(19_999)).toContain('left')
    expect(meter.line(20_000)).toBe(' 10%  10 MiB of 100 MiB  stalled')
    meter.update(20 * MIB, 21_000)
    expect(meter.line(21_000)).toContain('left')
  })

  test('foretells nothing while nothing moves', () => {
    const meter = new Meter(100 * MIB, 0, 10 * MIB)
    meter.update(10 * MIB, 3_000)
    expect([meter.rate(3_000), meter.leftMs(3_000)]).toEqual([0, undefined])
  })

  test('starts with what had moved when it was made, so that waiting does not count', () => {
    const meter = new Meter(100 * MIB, 60_000, 10 * MIB)
    meter.update(20 * MIB, 61_000)
    expect(meter.rate(61_000)).toBe(10 * MIB)
    expect(meter.bytes).toBe(20 * MIB)
  })

  test('of nothing is complete', () => {
    expect(new Meter(0, 0).line(0)).toBe('100%  0 bytes of 0 bytes  0 bytes/s')
  })

  test('holds samples of five seconds, whatever the transfer takes', () => {
    const meter = new Meter(undefined, 0)
    for (let ms = 0; ms < 3_600_000; ms += 100) meter.update(ms * 1_000, ms)
    expect(meter.rate(3_600_000)).toBeCloseTo(1_000_000, -5)
  })
})
