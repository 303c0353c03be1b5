import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Patience } from '../../src/cli/patience.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** Work that `leave` makes fail, within ten seconds of patience. */
function start(late: () => number) {
  const patience = new Patience(10)
  const happened: string[] = []
  let end: { resolve: (value: number) => void; reject: (error: Error) => void } | undefined
  const work = new Promise<number>((resolve, reject) => {
    end = { resolve, reject }
  })
  const leave = async () => {
    happened.push('left')
    end?.reject(new Error('stopped'))
  }
  const outcome = patience.within(work, leave, late).catch((error: Error) => error.message)
  return { patience, happened, outcome, end }
}

const late = () => {
  throw new Error('too late')
}

describe('patience', () => {
  test('ends when nothing has happened for so long, and then the work is ended', async () => {
    const { patience, happened, outcome } = start(late)
    for (let n = 0; n < 5; n++) {
      await vi.advanceTimersByTimeAsync(9_999)
      expect(happened).toEqual([])
      patience.renew()
    }
    await vi.advanceTimersByTimeAsync(10_000)
    expect(await outcome).toBe('too late')
    expect(happened).toEqual(['left'])
  })

  test('may end in an outcome', async () => {
    const { happened, outcome } = start(() => 5)
    await vi.advanceTimersByTimeAsync(10_000)
    expect([await outcome, happened]).toEqual([5, ['left']])
  })

  test('has no part in work that ends before', async () => {
    const [done, failed] = [start(late), start(late)]
    done.end?.resolve(7)
    failed.end?.reject(new Error('failed'))
    expect(await Promise.all([done.outcome, failed.outcome])).toEqual([7, 'failed'])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(done.happened).toEqual([])
  })

  test('never ends without a limit', async () => {
    const ended = vi.fn()
    const patience = new Patience(undefined)
    void patience.ended.then(ended)
    patience.renew()
    await vi.advanceTimersByTimeAsync(1e9)
    expect(ended).not.toHaveBeenCalled()
    expect(vi.getTimerCount()).toBe(0)
  })
})
