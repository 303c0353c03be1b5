import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { neededRate, Progress } from '../../src/cli/progress.ts'
import { Strangers } from '../../src/cli/strangers.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A terminal that keeps what it is told, and the lines that it shows in place of others. */
function listener({ interactive = false, columns = 80 } = {}) {
  const said: string[] = []
  const events: Readonly<Record<string, unknown>>[] = []
  const drawn: { lines: readonly string[] } = { lines: [] }
  const say = (line: string) => void said.push(line)
  const event = (name: string, fields: object, line?: string) => {
    events.push({ event: name, ...fields })
    if (line !== undefined) said.push(line)
  }
  const progress = (lines: readonly string[]) => {
    drawn.lines = lines
  }
  return { said, events, drawn, say, event, progress, interactive, columns }
}

interface Setting {
  readonly count?: number
  readonly expiresInMs?: number
  readonly interactive?: boolean
  readonly columns?: number
}

/** The progress of a transfer to so many devices, in a session of an hour. */
function start({ count = 1, expiresInMs = 3_600_000, ...shown }: Setting = {}) {
  const terminal = listener(shown)
  const matchNumbers = Array.from({ length: count }, (_, n) => `00000${n}`)
  const advice = (ttl: number) => `Take ${ttl}.`
  const onMove = vi.fn()
  const given = { matchNumbers, numbered: count > 1, expiresInMs: () => expiresInMs, advice, onMove, terminal }
  return { ...terminal, onMove, progress: new Progress(given) }
}

const [FIRST, SECOND, THIRD] = ['000000', '000001', '000002'] as const

/** Moves so many bytes a second for so many seconds, from a position on. */
function move(progress: Progress, bytesPerSecond: number, seconds: number, totalBytes: number, from = 0): void {
  for (let second = 0; second <= seconds; second++) {
    progress.update({ matchNumber: FIRST, bytes: from + bytesPerSecond * second, totalBytes })
    vi.advanceTimersByTime(1_000)
  }
}

describe('a transfer in which nothing moves', () => {
  test('is told of after 30 s, once, and again when it stops again', () => {
    const { progress, said, events } = start()
    move(progress, MIB, 3, GIB)
    said.length = 0
    vi.advanceTimersByTime(28_000)
    expect(said).toEqual([])
    vi.advanceTimersByTime(60_000)
    const line = 'Nothing has moved for 0:30. Waiting for the other device; Ctrl-C gives up.'
    expect(said).toEqual([line])
    expect(events.filter(({ event }) => event === 'stalled')).toMatchObject([{ matchNumber: FIRST }])
    progress.update({ matchNumber: FIRST, bytes: 100 * MIB, totalBytes: GIB })
    vi.advanceTimersByTime(31_000)
    expect(said.filter((each) => each === line)).toHaveLength(2)
    progress.stop()
  })

  test('is told of by the number of the device where there are several, but for those that are done', () => {
    const { progress, said } = start({ count: 2 })
    progress.end(FIRST)
    vi.advanceTimersByTime(60_000)
    expect(said).toEqual(['No answer from the device with 000 001 for 0:30; Ctrl-C gives up.'])
    progress.end(SECOND)
    vi.advanceTimersByTime(60_000)
    expect(said).toHaveLength(1)
  })

  test('is shown as stalled at a terminal after 10 s, without a rate, and moves on when it does', () => {
    const { progress, drawn } = start({ interactive: true })
    move(progress, MIB, 3, GIB)
    expect(drawn.lines).toEqual([
      expect.stringMatching(/^ {2}0% {2}3\.0 MiB of 1\.0 GiB {2}\d+ KiB\/s {2}\d+:\d\d left$/),
    ])
    vi.advanceTimersByTime(9_000)
    expect(drawn.lines).toEqual(['  0%  3.0 MiB of 1.0 GiB  stalled'])
    progress.update({ matchNumber: FIRST, bytes: 4 * MIB, totalBytes: GIB })
    vi.advanceTimersByTime(200)
    expect(drawn.lines[0]).toContain(' left')
    progress.stop()
  })
})

describe('a program', () => {
  const positions = (events: readonly Readonly<Record<string, unknown>>[], matchNumber: string = FIRST) =>
    events.filter((each) => each.event === 'progress' && each.matchNumber === matchNumber).map(({ bytes }) => bytes)

  test('is told at least twice a second while something moves, of each device, and not while nothing does', () => {
    const { progress, events } = start({ count: 2 })
    for (let tenth = 0; tenth <= 100; tenth++) {
      for (const matchNumber of [FIRST, SECOND]) progress.update({ matchNumber, bytes: tenth * MIB, totalBytes: GIB })
      vi.advanceTimersByTime(100)
    }
    for (const matchNumber of [FIRST, SECOND]) expect(positions(events, matchNumber).length).toBeGreaterThanOrEqual(20)
    const told = events.length
    vi.advanceTimersByTime(20_000)
    // The last position of each, and no more.
    expect(events.slice(told).length).toBeLessThanOrEqual(2)
    progress.stop()
  })

  test('is told the last position, of a transfer that took a moment too', () => {
    const { progress, events } = start({ count: 2 })
    progress.answer(FIRST, 5 * MIB)
    progress.update({ matchNumber: FIRST, bytes: 6 * MIB, totalBytes: 8 * MIB })
    progress.end(FIRST, 3 * MIB)
    progress.update({ matchNumber: SECOND, bytes: 7 * MIB, totalBytes: 8 * MIB })
    progress.stop()
    expect([positions(events), positions(events, SECOND)]).toEqual([[8 * MIB], [7 * MIB]])
  })

  test('is told of the comparison with what was there at once, twice a second, and at its end', () => {
    const { progress, events, said } = start()
    for (let tenth = 0; tenth <= 20; tenth++) {
      progress.check({ matchNumber: FIRST, bytes: tenth * MIB, totalBytes: 20 * MIB })
      vi.advanceTimersByTime(100)
    }
    const checked = events.filter(({ event }) => event === 'checking').map(({ bytes }) => Number(bytes) / MIB)
    expect(checked).toEqual([0, 4, 8, 12, 16, 20])
    expect(said).toEqual(['Checking what is there.'])
    progress.stop()
  })
})

describe('a plain terminal', () => {
  test('gets a line at each tenth, in five seconds or more, and each minute', () => {
    const { progress, said } = start()
    move(progress, 0.5 * MIB, 30, 50 * MIB)
    expect(said.map((line) => line.slice(0, 3))).toEqual(['10%', '20%', '30%'])
    progress.stop()
  })

  test('gets a line each minute of a transfer that is slow', () => {
    const { progress, said } = start({ expiresInMs: 86_400_000 })
    move(progress, 0.01 * MIB, 150, 50 * MIB)
    expect(said).toEqual([expect.stringMatching(/^1% /), expect.stringMatching(/^2% /)])
    progress.stop()
  })
})

describe('the lines of several devices', () => {
  const all = (progress: Progress) => {
    progress.answer(FIRST, 0)
    progress.check({ matchNumber: SECOND, bytes: 40, totalBytes: 100 })
    vi.advanceTimersByTime(200)
  }

  test('are one for each that is not done, in words until bytes move', () => {
    const { progress, drawn } = start({ count: 3, interactive: true })
    vi.advanceTimersByTime(200)
    expect(drawn.lines).toEqual([FIRST, SECOND, THIRD].map((_, n) => `000 00${n}  waiting for the answer`))
    all(progress)
    expect(drawn.lines).toEqual([
      '000 000  accepted',
      '000 001  checking what is there: 40 %',
      '000 002  waiting for the answer',
    ])
    move(progress, 10 * MIB, 3, 100 * MIB)
    expect(drawn.lines[0]).toMatch(/^000 000 {3}30% {2}30 MiB of 100 MiB {2}[\d.]+ MiB\/s {2}0:\d\d left$/)
    progress.end(FIRST)
    vi.advanceTimersByTime(200)
    expect(drawn.lines).toEqual(['000 001  checking what is there: 40 %', '000 002  waiting for the answer'])
    progress.stop()
  })

  test.each([80, 60, 50, 40, 30])(
    'fit into %i columns, each with its number, its share and the time that is left',
    (columns) => {
      const { progress, drawn } = start({ count: 3, interactive: true, columns })
      all(progress)
      move(progress, 10 * MIB, 3, 100 * MIB)
      expect(drawn.lines[0]).toMatch(/^000 000 {3}30% .* left$/)
      expect(drawn.lines[0]?.length).toBeLessThan(columns)
      progress.stop()
    },
  )

  test('are none for a device alone before bytes move, but for the comparison', () => {
    const { progress, drawn } = start({ interactive: true })
    vi.advanceTimersByTime(200)
    expect(drawn.lines).toEqual([])
    progress.check({ matchNumber: FIRST, bytes: 40, totalBytes: 100 })
    vi.advanceTimersByTime(200)
    expect(drawn.lines).toEqual(['Checking what is there: 40 %'])
    progress.stop()
  })
})

test('each answer, comparison and byte is a move, and a position that stays is none', () => {
  const { progress, onMove } = start()
  progress.answer(FIRST, 0)
  progress.check({ matchNumber: FIRST, bytes: 1, totalBytes: 2 })
  for (const bytes of [0, 1, 1, 1]) progress.update({ matchNumber: FIRST, bytes, totalBytes: 2 })
  expect(onMove).toHaveBeenCalledTimes(4)
  progress.stop()
})

describe('a transfer that its session is too short for', () => {
  test('is told of once, with how long a session has to be', () => {
    const { progress, said, events } = start({ expiresInMs: 60_000 })
    move(progress, MIB, 20, 600 * MIB)
    const told = said.filter((line) => line.startsWith('At this rate'))
    expect(told).toEqual([
      expect.stringMatching(
        /^At this rate it takes \d+:\d\d more, but the session ends in 1:00: it will not be complete\. /,
      ),
    ])
    // 600 s, a quarter more, and two minutes for the pairing, in whole minutes.
    expect(told[0]).toMatch(/ Take 900\.$/)
    expect(events.filter(({ event }) => event === 'too_slow')).toHaveLength(1)
    progress.stop()
  })

  test('is foretold by the rate it needs, when that is more than a MiB a second', () => {
    expect(neededRate(30 * GIB, 900_000)).toBe('The session ends in 15:00: this needs 34 MiB/s from now on.')
    expect(neededRate(500 * MIB, 900_000)).toBeUndefined()
    expect(neededRate(undefined, 900_000)).toBeUndefined()
  })
})

describe('strangers who enter a code', () => {
  test('are told of when they have proved nothing for five seconds, and an honest device is not', () => {
    const terminal = listener()
    const strangers = new Strangers(terminal)
    strangers.onWaiting({ unproven: 1 })
    strangers.onWaiting({ unproven: 0 })
    vi.advanceTimersByTime(10_000)
    expect(terminal.said).toEqual([])
    for (const unproven of [1, 2]) strangers.onWaiting({ unproven })
    vi.advanceTimersByTime(10_000)
    strangers.onWaiting({ unproven: 0 })
    vi.advanceTimersByTime(10_000)
    expect(terminal.said).toEqual(['2 devices wait that have not proved to know the code.'])
    expect(terminal.events).toEqual([
      { event: 'waiting', unproven: 2 },
      { event: 'waiting', unproven: 0 },
    ])
    strangers.stop()
  })

  test('are told of when they have used it up, once', () => {
    const terminal = listener()
    const strangers = new Strangers(terminal)
    strangers.onUsedUp()
    strangers.usedUp('again')
    expect(terminal.said).toEqual(['Others have used the code up: no new device can come.'])
    expect(terminal.events).toEqual([{ event: 'used_up' }])
  })

  test('are told of by what they did', async () => {
    const terminal = listener()
    const strangers = new Strangers(terminal)
    const changed = strangers.change()
    strangers.onFailedAttempt({ wrongCode: 1, timedOut: 2, invalid: 3 })
    await changed
    expect(terminal.said).toEqual([
      '1 device tried a wrong code. 2 devices did not answer in time. 3 devices did not follow the protocol.',
    ])
  })
})
