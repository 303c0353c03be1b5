import type { Random } from '../../support/random.ts'

/** Values nobody asked for, to be put in the place of any value that somebody did. */

const TEXTS: readonly string[] = [
  '',
  ' ',
  '\0',
  'null',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  '%2e%2e%2f',
  '\u202e\u2066\ufeff',
  '\ud800',
  'é'.normalize('NFD'),
  '💥'.repeat(32),
  'A'.repeat(63),
  'A'.repeat(64),
  'A'.repeat(65),
  'A'.repeat(5_000),
  '"\\/\b\f\n\r\t',
  '$ne',
  '{{7*7}}',
  "' or 1=1 --",
  'AAAAAAAAAAAAAAAAAAAAAB',
  `${'A'.repeat(42)}B`,
]

const NUMBERS: readonly number[] = [
  0,
  -0,
  -1,
  1,
  29,
  30,
  3600,
  3601,
  0.5,
  1e308,
  -1e308,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 64,
  65_535,
  65_536,
]

export function weirdValue(random: Random, depth = 0): unknown {
  switch (random.below(depth > 3 ? 5 : 8)) {
    case 0:
      return random.pick(TEXTS)
    case 1:
      return random.pick(NUMBERS)
    case 2:
      return random.pick([null, true, false])
    case 3:
      return random.word(random.between(1, 80))
    case 4:
      return random.pick([[], {}, [[]], { '': '' }])
    case 5:
      return Array.from({ length: random.below(40) }, () => weirdValue(random, depth + 2))
    case 6:
      return Object.fromEntries([[random.word(4), weirdValue(random, depth + 1)]])
    default:
      return weirdText(random)
  }
}

export function weirdText(random: Random): string {
  return random.pick(TEXTS)
}

/** Removes, replaces, repeats or extends a value somewhere inside a copy. */
export function mutatedValue(random: Random, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || random.chance(0.15)) return weirdValue(random)
  if (Array.isArray(value)) {
    const copy: unknown[] = [...value]
    const at = random.below(copy.length + 1)
    if (at === copy.length || random.chance(0.3)) copy.splice(at, 0, weirdValue(random))
    else copy[at] = mutatedValue(random, copy[at])
    if (random.chance(0.2)) copy.splice(random.below(copy.length), 1)
    return copy
  }
  const entries = Object.entries(value)
  const at = random.below(entries.length + 1)
  if (at === entries.length || random.chance(0.15)) entries.push([weirdKey(random), weirdValue(random)])
  else if (random.chance(0.25)) entries.splice(at, 1)
  else entries[at] = [entries[at][0], mutatedValue(random, entries[at][1])]
  return Object.fromEntries(entries)
}

function weirdKey(random: Random): string {
  return random.pick(['extra', '', 'toString', 'constructor', 'length', 'type', weirdText(random)])
}

/** JSON that says about the same, or is none any more: changes that no value can make. */
export function mutatedJson(random: Random, json: string): string {
  switch (random.below(13)) {
    case 0:
      return json.replace('{', '{"__proto__":{"admin":true},')
    case 1:
      return json.replace('{', '{"constructor":{"prototype":{"admin":true}},')
    case 2:
      return json.replace('{', `{"deep":${'['.repeat(1_500)}${']'.repeat(1_500)},`)
    case 3:
      return json.replace('{', `{"deep":${'{"a":'.repeat(800)}1${'}'.repeat(800)},`)
    case 4:
      return json.slice(0, random.below(json.length + 1))
    case 5:
      return json + random.pick(['}', ',', ' ', '\n', '\0', '{}', 'null'])
    case 6:
      return `\ufeff${json}`
    case 7:
      return json.replace(/"([^"]*)":/, (key) => `${key}1,${key}`)
    case 8:
      return random.pick(['', 'null', '[]', '""', '0', 'true', '{', '[', '"', '{}', '{"":{}}', 'NaN', '-', '1e999'])
    case 9:
      return json.replaceAll('"', "'")
    case 10:
      return json.replace(/:(?=[^,}]*[,}])/, random.pick([':-', ':0x', ':1e', ':01', ':\\u0022', ':,', '::']))
    case 11: {
      const at = random.below(json.length + 1)
      return json.slice(0, at) + random.pick(['"', '\\', '{', '}', ',', ':', '\0', '\ud800', '/**/']) + json.slice(at)
    }
    default:
      return json.replace('{', `{"padding":"${'x'.repeat(random.between(1, 20_000))}",`)
  }
}

/** Bytes flipped, cut, repeated or put in. */
export function mutatedBytes(random: Random, bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  const at = random.below(Math.max(1, copy.length))
  switch (random.below(6)) {
    case 0:
      if (copy.length > 0) copy[at] ^= 1 << random.below(8)
      return copy
    case 1:
      return copy.subarray(0, at)
    case 2:
      return Buffer.concat([copy.subarray(0, at), random.bytes(random.between(1, 8)), copy.subarray(at)])
    case 3:
      return Buffer.concat([copy, copy.subarray(at)])
    case 4:
      if (copy.length > 0) copy[at] = random.pick([0, 1, 0x7f, 0x80, 0xff])
      return copy
    default:
      return copy.subarray(at)
  }
}
