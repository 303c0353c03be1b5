import { expect, test } from 'vitest'
import { PairingError } from '../../src/client/errors.ts'
import { Places } from '../../src/client/places.ts'
import { settled } from './fake-time.ts'
import { pairingErrorOf } from './support.ts'

/** Takes so many places and tells who has got one so far. */
function takeAll(places: Places, count: number) {
  const admitted: number[] = []
  const leave: (() => void)[] = []
  const taken = Array.from({ length: count }, (_, i) =>
    places.take().then((give) => {
      admitted.push(i)
      leave[i] = give
    }),
  )
  for (const each of taken) each.catch(() => {})
  return { admitted, leave, taken }
}

test('so many are admitted at once, the others in their order as places become free', async () => {
  const { admitted, leave } = takeAll(new Places(2, 10), 4)
  await settled()
  expect(admitted).toEqual([0, 1])
  leave[1]()
  await settled()
  expect(admitted).toEqual([0, 1, 2])
  leave[0]()
  await settled()
  expect(admitted).toEqual([0, 1, 2, 3])
})

test('giving a place back twice frees one', async () => {
  const { admitted, leave } = takeAll(new Places(1, 10), 3)
  await settled()
  leave[0]()
  leave[0]()
  await settled()
  expect(admitted).toEqual([0, 1])
})

test('so many are admitted in all, however many have left', async () => {
  const places = new Places(2, 3)
  const { admitted, leave } = takeAll(places, 5)
  for (let i = 0; i < 3; i++) {
    await settled()
    leave[i]()
  }
  await settled()
  expect(admitted).toEqual([0, 1, 2])
  expect(places.usedUp).toBe(true)
})

test('closing turns away who waits and who comes later; who is in stays', async () => {
  const places = new Places(1, 10)
  const { admitted, leave, taken } = takeAll(places, 2)
  await settled()
  places.close(new PairingError('session_full'))
  expect(await pairingErrorOf(taken[1])).toBe('session_full')
  expect(await pairingErrorOf(places.take())).toBe('session_full')
  leave[0]()
  await settled()
  expect(admitted).toEqual([0])
})
