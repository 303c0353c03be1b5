import { describe, expect, test } from 'vitest'
import { remembered } from '../../src/store/remembered.ts'

describe('a function that remembers', () => {
  /** The texts that it had to look at, and itself. */
  function counting() {
    const looked: string[] = []
    const lengthOf = remembered((text) => {
      looked.push(text)
      return { length: text.length }
    })
    return { looked, lengthOf }
  }

  test('looks at a text once, and answers the same again', () => {
    const { looked, lengthOf } = counting()
    expect([lengthOf('four'), lengthOf('of'), lengthOf('four')]).toEqual([{ length: 4 }, { length: 2 }, { length: 4 }])
    expect(looked).toEqual(['four', 'of'])
  })

  test('holds no more than 1,024 answers, however many texts an attacker asks about', () => {
    const { looked, lengthOf } = counting()
    const attacker = Array.from({ length: 1025 }, (_, i) => `text ${i}`)
    for (const text of attacker) lengthOf(text)
    looked.length = 0
    for (const text of attacker.slice(0, 1024)) lengthOf(text)
    expect(looked.length).toBeGreaterThanOrEqual(1023)
  })

  test('keeps no answer of a text that is longer than 256 characters', () => {
    const { looked, lengthOf } = counting()
    const attacker = 'x'.repeat(257)
    for (const text of [attacker, attacker]) expect(lengthOf(text)).toEqual({ length: 257 })
    expect(looked).toHaveLength(2)
  })
})
