import { type Environment, VARIABLES } from './config.ts'

/** Beginnings of names that nothing but a setting of a relay is likely to have. */
const PREFIXES = [
  'ALLOWED_',
  'CORS',
  'MAX_',
  'MEMORY_BUDGET',
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
  return Object.keys(env).flatMap((name) => {
    if (known.includes(name) || OF_A_SERVICE.test(name)) return []
    const written = name
      .toUpperCase()
      .replaceAll('-', '_')
      .replace(/^PAIRLAY_/, '')
    const [similar = '', distance = Infinity] =
      known
        .map((each) => [each, distanceOf(written.replace(/_FILE$/, ''), each.replace(/_FILE$/, ''))] as const)
        .toSorted(([, a], [, b]) => a - b)[0] ?? []
    const isClose = distance <= (similar.length > 5 ? 2 : 1)
    return isClose || PREFIXES.some((prefix) => written.startsWith(prefix)) ? [{ name, similar }] : []
  })
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
