import { type Environment, VARIABLES } from './config.ts'

/** Beginnings of names that nothing but a setting of a relay is likely to have. */
const PREFIXES = [
  'ALLOWED_',
  'CORS',
  'DRAIN_',
  'MAX_',
  'MEMORY_BUDGET',
  'METRICS_',
  'RATE_LIMIT',
  'REDIS_',
  'SESSION_TTL',
  'SHUTDOWN_',
  'TRUST',
  'VALKEY_',
  'WINDOW_BYTES',
]
/** Names that a container's platform makes for a service with one of these beginnings. */
const OF_A_SERVICE = /_(SERVICE_(HOST|PORT)|PORT|TCP)(_|$)/

export interface Lookalike {
  readonly name: string
  /** The setting that is most like it. */
  readonly similar: string
}

/** Environment variables that look like a setting and are none. */
export function lookalikesIn(env: Environment): Lookalike[] {
  const known = Object.keys(VARIABLES)
  return Object.entries(env).flatMap(([name, value = '']) => {
    if (known.includes(name)) return []
    const written = name
      .toUpperCase()
      .replaceAll('-', '_')
      .replace(/^PAIRLAY_/, '')
      .replace(/_FILE$/, '')
    const [first] = known.map((each) => likenessOf(written, each)).toSorted((a, b) => a.rank - b.rank)
    if (first === undefined) return []
    const { setting: similar, distance } = first
    if (OF_A_SERVICE.test(name) && (distance > 1 || value.includes('://'))) return []
    const isLike = first.rank < UNLIKE || PREFIXES.some((prefix) => written.startsWith(prefix))
    return isLike ? [{ name, similar }] : []
  })
}

/** Ranks of settings from which on a name is like them in its first word alone, and not even in that. */
const UNLIKE = 200
const STRANGE = 300

/** Says how like a setting a name is: a few letters away, its beginning, of one first word, or none of these. */
function likenessOf(written: string, setting: string) {
  const plain = setting.replace(/_FILE$/, '')
  const distance = distanceOf(written, plain)
  const [word = ''] = written.split('_')
  const isBeginning = word !== written && plain.startsWith(`${written}_`)
  const kind =
    distance <= (plain.length > 5 ? 2 : 1) ? 0 : isBeginning ? 100 : plain.startsWith(word) ? UNLIKE : STRANGE
  return { setting, distance, rank: kind + Math.min(distance, 99) }
}

/** Letters to add, leave out or replace until one text is the other (Levenshtein). */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
