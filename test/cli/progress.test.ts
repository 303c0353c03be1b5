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

/** A terminal that keeps what it is told. */
function listener() {
  const said: string[] = []
  const events: { readonly event: string }[] = []
  const say = (line: string) => said.push(line)
  const event = (name: string, fields: object, line?: string) => {
    events.push({ event: name, ...fields })
    if (line !== undefined) said.push(line)
  }
  return { said, events, say, event, progress: () => {}, interactive: false, progressEveryMs: 5_000 }
}

/** The progress of a transfer to so many devices, in a session of an hour. */
function start(count = 1, expiresInMs = 3_600_000) {
  const terminal = listener()
  const matchNumbers = Array.from({ length: count }, (_, n) => `00000${n}`)
  const advice = (ttl: number) => `Take ${ttl}.`
  const progress = new Progress({ matchNumbers, numbered: count > 1, expiresInMs: () => expiresInMs, advice, terminal })
  return { ...terminal, progress }
}

/** Moves so many bytes a second for so many seconds. */
function move(progress: Progress, bytesPerSecond: number, seconds: number, totalBytes: number): void {
  for (let second = 0; second <= seconds; second++) {
    progress.update({ matchNumber: '000000', bytes: bytesPerSecond * second, totalBytes })
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
    expect(events.filter(({ event }) => event === 'stalled')).toMatchObject([{ matchNumber: '000000' }])
    progress.update({ matchNumber: '000000', bytes: 100 * MIB, totalBytes: GIB })
    vi.advanceTimersByTime(31_000)
    expect(said.filter((each) => each === line)).toHaveLength(2)
    progress.stop()
  })

  test('is told of by the number of the device where there are several, but for those that are done', () => {
    const { progress, said } = start(2)
    progress.end('000000')
    vi.advanceTimersByTime(60_000)
    expect(said).toEqual(['Nothing has moved yet for 0:30. Waiting for the device with 000 001; Ctrl-C gives up.'])
    progress.end('000001')
    vi.advanceTimersByTime(60_000)
    expect(said).toHaveLength(1)
  })
})

describe('a transfer that its session is too short for', () => {
  test('is told of once, with how long a session has to be', () => {
    const { progress, said, events } = start(1, 60_000)
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
