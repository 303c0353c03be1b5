import { expect, test } from 'vitest'
import { isText, type Offered, tellOffer } from '../../src/cli/offered.ts'
import type { Entry, Offer } from '../../src/client/index.ts'
import { TEXT_TYPE, totalOf } from '../../src/client/index.ts'

/** Lines that tell of an offer. */
function told(entries: readonly Entry[]): string[] {
  const lines: string[] = []
  const terminal = {
    say: (line: string) => lines.push(line),
    event: (_: string, __: object, line?: string) => lines.push(line ?? ''),
  }
  const offer = { entries, totalBytes: totalOf(entries) }
  const offered = { offer, terminal, expiresInMs: () => 900_000 } as unknown as Offered & { offer: Offer }
  tellOffer(offered, false)
  return lines
}

test('an offer is told as its things, with what can be executed and what would be hidden among it', () => {
  const entries: Entry[] = [
    { path: 'tool/.config', size: 1 },
    { path: 'tool/.git/hooks/pre-commit', size: 1, x: true },
    { path: 'tool/run.sh', size: 1, x: true },
    { path: 'tool/v1.2', size: 1 },
    { path: 'notes', size: 2048 },
  ]
  expect(told(entries)).toEqual([
    'The sender offers 5 files (2.0 KiB):',
    '    tool/  4 files, 4 bytes',
    '    notes  2.0 KiB',
    '2 files can be executed.',
    '2 files would be hidden: the name begins with a dot.',
  ])
})

test('a name that loses its leading dot here is not told to be hidden', () => {
  expect(told([{ path: '.profile', size: 1 }])).toEqual(['The sender offers .profile (1 byte).'])
})

test('a text is shown alone and up to 1 MiB, and an attacker’s that is longer, or of unknown length, is not held', () => {
  const asText = (...entries: readonly Entry[]) => isText({ entries } as unknown as Offer)
  const text = { path: 'text', type: TEXT_TYPE, size: 1_048_576 }
  expect(asText(text)).toBe(true)
  expect(asText({ ...text, size: 1_048_577 })).toBe(false)
  expect(asText({ path: 'text', type: TEXT_TYPE })).toBe(false)
  expect(asText(text, { ...text, path: 'other' })).toBe(false)
  expect(asText({ ...text, type: 'text/plain' })).toBe(false)
})
