import { describe, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/source.ts'
import { type Partials, save } from '../../../src/client/transfer/partials.ts'
import { SMALL_AT_ONCE, SMALL_BYTES } from '../../../src/client/transfer/read-ahead.ts'
import { pairingErrorOf } from '../support.ts'
import { nextOffer, pair } from './pair.ts'

/** A place for partials whose writes end when they are let, and what it was told. */
function slowPartials(write: (entry: number) => Promise<void>, finish = async () => {}) {
  const told: string[] = []
  const partials: Partials = {
    tokens: async () => [],
    open: async () => ({
      have: new Map(),
      read: () => expect.unreachable(),
      write: async (entry, _offset, pieces) => {
        told.push(`begin ${entry}`)
        for await (const _ of pieces);
        await write(entry)
        told.push(`end ${entry}`)
      },
      finish: async () => {
        told.push('finish')
        await finish()
      },
      leave: async () => void told.push('leave'),
    }),
  }
  return { partials, told }
}

/** Offers files of these sizes to whoever saves them so. */
async function saving(sizes: readonly number[], partials: Partials) {
  const { sender, receiver, until } = pair()
  const sources = sizes.map((size, index) => bytesSource(new Uint8Array(size), `folder/${index}`))
  const sending = pairingErrorOf(sender.send(sources))
  const offer = await until(nextOffer(receiver))
  return { saved: save(offer, partials), sending, until }
}

describe('small files', () => {
  test('are written 16 at a time, and all are whole before they get their names', async () => {
    const ends: (() => void)[] = []
    const { partials, told } = slowPartials(() => new Promise((resolve) => ends.push(resolve)))
    const count = SMALL_AT_ONCE + 4
    const { saved, sending, until } = await saving(new Array(count).fill(10), partials)
    let most = 0
    const letGo = async () => {
      for (let ended = 0; ended < count; ) {
        await until(new Promise((resolve) => setImmediate(resolve)))
        if (ends.length < Math.min(SMALL_AT_ONCE, count - ended)) continue
        most = Math.max(most, ends.length)
        ends.shift()?.()
        ended++
      }
    }
    await until(Promise.all([saved, sending, letGo()]))
    expect(most).toBe(SMALL_AT_ONCE)
    expect(told.slice(-2)).toEqual(['finish', 'leave'])
    expect(told.filter((each) => each.startsWith('end'))).toHaveLength(count)
  })

  test('beside others that are not small are written in their order', async () => {
    const { partials, told } = slowPartials(async () => {})
    const { saved, until } = await saving([SMALL_BYTES + 1, SMALL_BYTES + 1], partials)
    await until(saved)
    expect(told).toEqual(['begin 0', 'end 0', 'begin 1', 'end 1', 'finish', 'leave'])
  })

  test.each([
    ['ENOSPC', 'no_space'],
    ['EIO', 'receiver_failed'],
  ])('of which one cannot be written (%s) end the offer with that: %s', async (code, heard) => {
    const full = Object.assign(new Error('no'), { code })
    const { partials, told } = slowPartials(async (entry) => {
      if (entry === 3) throw full
    })
    const { saved, sending, until } = await saving(new Array(50).fill(10_000), partials)
    await expect(until(saved)).rejects.toBe(full)
    expect(await until(sending)).toBe(heard)
    expect(told).not.toContain('finish')
    expect(told.at(-1)).toBe('leave')
  })
})

test.each([
  ['EEXIST', 'receiver_failed'],
  ['ENOSPC', 'no_space'],
])('an offer whose files cannot get their names (%s) has no receipt: %s', async (code, heard) => {
  const cannot = Object.assign(new Error('no'), { code })
  const { partials, told } = slowPartials(
    async () => {},
    () => Promise.reject(cannot),
  )
  const { saved, sending, until } = await saving([10], partials)
  await expect(until(saved)).rejects.toBe(cannot)
  expect(await until(sending)).toBe(heard)
  expect(told.slice(-2)).toEqual(['finish', 'leave'])
})

test.each([
  ['EEXIST', 'receiver_failed'],
  ['ENOSPC', 'no_space'],
])('an offer whose place cannot be opened (%s) is answered with no: %s', async (code, heard) => {
  const cannot = Object.assign(new Error('no'), { code })
  const partials = { tokens: async () => [], open: () => Promise.reject(cannot) }
  const { saved, sending, until } = await saving([10], partials)
  await expect(until(saved)).rejects.toBe(cannot)
  expect(await until(sending)).toBe(heard)
})
