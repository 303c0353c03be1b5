import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { watchPresence } from '../../src/cli/presence.ts'

const HOUR_MS = 3_600_000

beforeEach(() => {
  vi.useFakeTimers({ now: new Date(2026, 0, 1, 13, 2) })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A watch over so many devices, what it said, and the hands on what it sees. */
function watch(count = 1) {
  const others = Array.from({ length: count }, (_, n) => ({ matchNumber: `00000${n}`, present: true }))
  const said: string[] = []
  const events: unknown[] = []
  const own = { connected: true }
  const stop = watchPresence({
    others,
    connected: () => own.connected,
    expiresInMs: () => HOUR_MS,
    terminal: {
      event: (event, fields, line) => {
        events.push({ event, ...fields })
        if (line !== undefined) said.push(line)
      },
    },
  })
  return { others, own, said, events, stop }
}

const AWAY = 'The other device is not connected. Waiting for it until 14:02; Ctrl-C gives up.'

describe('a device that is away', () => {
  test('for five seconds and less is nobody’s concern', () => {
    const { others, said } = watch()
    for (let n = 0; n < 10; n++) {
      for (const other of others) other.present = n % 2 === 0
      vi.advanceTimersByTime(5_000)
    }
    expect(said).toEqual([])
  })

  test('for longer is told of once, and so is its return', () => {
    const { others, said, events, stop } = watch()
    for (const present of [false, true, false]) {
      others[0].present = present
      vi.advanceTimersByTime(20_000)
    }
    expect(said).toEqual([AWAY, 'It is back.', AWAY])
    expect(events).toEqual(
      [false, true, false].map((present) => ({ event: 'presence', matchNumber: '000000', present })),
    )
    stop()
    others[0].present = true
    vi.advanceTimersByTime(20_000)
    expect(said).toHaveLength(3)
  })

  test('among several is told of by its number', () => {
    const { others, said } = watch(2)
    others[1].present = false
    vi.advanceTimersByTime(7_000)
    others[1].present = true
    vi.advanceTimersByTime(1_000)
    expect(said).toEqual([
      'The device with 000 001 is not connected. Waiting for it until 14:02; Ctrl-C gives up.',
      'The device with 000 001 is back.',
    ])
  })

  test('is not told of while this side is not connected itself, and its return only when it is seen', () => {
    const { others, own, said } = watch()
    own.connected = false
    others[0].present = false
    vi.advanceTimersByTime(60_000)
    expect(said).toEqual([])
    own.connected = true
    vi.advanceTimersByTime(7_000)
    const away = AWAY.replace('14:02', '14:03')
    own.connected = false
    others[0].present = true
    vi.advanceTimersByTime(7_000)
    expect(said).toEqual([away])
    own.connected = true
    vi.advanceTimersByTime(1_000)
    expect(said).toEqual([away, 'It is back.'])
  })
})
