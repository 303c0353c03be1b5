import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { type List, mapped, PackedList } from '../../src/client/list.ts'

const lists = fc.array(fc.record({ path: fc.string({ unit: 'grapheme' }), size: fc.nat() }), { maxLength: 140 })

function packed<T>(values: readonly T[]): PackedList<T> {
  const list = new PackedList<T>()
  for (const value of values) list.push(value)
  return list
}

describe('a packed list', () => {
  test('gives what was put in, in order and by index, between the pushes too', () => {
    fc.assert(
      fc.property(lists, fc.array(fc.nat({ max: 150 })), (values, indexes) => {
        const list = new PackedList<unknown>()
        for (const [index, value] of values.entries()) {
          expect(list.at(index)).toBeUndefined()
          list.push(value)
          expect(list.at(index)).toEqual(value)
        }
        expect([...list]).toEqual(values)
        expect(JSON.stringify(list)).toBe(JSON.stringify(values))
        expect(list.length).toBe(values.length)
        for (const index of indexes) expect(list.at(index)).toEqual(values.at(index))
      }),
    )
  })

  test('makes each value once for who looks ahead in it, as for who does not', () => {
    const list = new PackedList<number>()
    for (let n = 0; n < 320; n++) list.push(n)
    const parse = vi.spyOn(JSON, 'parse')
    for (let n = 0; n < 304; n++) expect([list.at(n), list.at(n + 16)]).toEqual([n, n + 16])
    expect(parse).toHaveBeenCalledTimes(10)
    parse.mockRestore()
  })

  test('is mapped where it is looked at, and nowhere else', () => {
    let made = 0
    const list: List<string> = mapped(packed(['a', 'b', 'c']), (value, index) => {
      made++
      return `${value}${index}`
    })
    expect([made, list.length, list.at(2), list.at(3), made]).toEqual([0, 3, 'c2', undefined, 1])
    expect([...list]).toEqual(['a0', 'b1', 'c2'])
  })
})
