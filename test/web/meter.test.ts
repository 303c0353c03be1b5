import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Meter } from '../../src/web/flow/meter.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

test('progress is told four times a second at most, with its last number', () => {
  const told: number[] = []
  const meter = new Meter((done) => told.push(done))
  for (let bytes = 1; bytes <= 100; bytes++) {
    meter.report(bytes)
    vi.advanceTimersByTime(10)
  }
  vi.advanceTimersByTime(250)
  expect(told).toEqual([1, 25, 50, 75, 100])
  meter.report(101)
  meter.report(102)
  meter.stop()
  vi.advanceTimersByTime(250)
  expect(told.at(-1)).toBe(101)
})

test('a rate is that of the last seconds, and is there after half a second', () => {
  const rates: (number | undefined)[] = []
  const meter = new Meter((_done, perSecond) => rates.push(perSecond))
  meter.report(0)
  vi.advanceTimersByTime(500)
  meter.report(500)
  expect(rates).toEqual([undefined, undefined])
  for (let second = 1; second <= 20; second++) {
    vi.advanceTimersByTime(1_000)
    meter.report(500 + second * 2_000)
  }
  expect(rates.at(-1)).toBeCloseTo(2_000)
})
