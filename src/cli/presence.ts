import { formatMatchNumber } from '../client/index.ts'
import type { Terminal } from './terminal.ts'

/** A short absence mends itself and is nobody's concern. */
const ABSENT_AFTER_MS = 5_000
const LOOK_MS = 1_000

/** A device at the other end of a transfer. */
export interface Other {
  readonly matchNumber: string
  readonly present: boolean
}

export interface PresenceOptions {
  readonly others: readonly Other[]
  /** Reports whether this side is connected. Otherwise nothing is known of the others. */
  readonly connected: () => boolean
  readonly expiresInMs: () => number
  readonly terminal: Pick<Terminal, 'event'>
}

/** Tells the person when a device has gone without a word, once, and when it is back. Gives the function that ends this. */
export function watchPresence({ others, connected, expiresInMs, terminal }: PresenceOptions): () => void {
  const awaySince = new Map<Other, number>()
  const told = new Set<Other>()
  const look = () => {
    for (const other of others) {
      const { matchNumber, present } = other
      if (!connected() || present) awaySince.delete(other)
      else if (!awaySince.has(other)) awaySince.set(other, performance.now())
      const away = performance.now() - (awaySince.get(other) ?? Number.POSITIVE_INFINITY) > ABSENT_AFTER_MS
      const which = others.length === 1 ? undefined : `device with ${formatMatchNumber(matchNumber)}`
      if (away && !told.has(other)) {
        told.add(other)
        const until = new Date(Date.now() + expiresInMs()).toTimeString().slice(0, 5)
        const line = `The ${which ?? 'other device'} is not connected. Waiting for it until ${until}; Ctrl-C gives up.`
        terminal.event('presence', { matchNumber, present: false }, line)
      } else if (connected() && present && told.delete(other)) {
        const line = which === undefined ? 'It is back.' : `The ${which} is back.`
        terminal.event('presence', { matchNumber, present: true }, line)
      }
    }
  }
  const timer = setInterval(look, LOOK_MS)
  return () => clearInterval(timer)
}
