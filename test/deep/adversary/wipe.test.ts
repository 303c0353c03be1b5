import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Case } from './cases.ts'
import { forgeryCases } from './forgeries.ts'
import { payloadCases } from './payload.ts'
import { play } from './scenario.ts'
import { Seed } from './seed.ts'
import { spliceCases } from './splices.ts'

/** The keys of messages and the copies that the streams make of them, from their birth on. Everything else is watched in `watch.ts`. */
const { keys, spied } = vi.hoisted(() => {
  const keys: Uint8Array[] = []
  class SpiedKey extends Uint8Array {
    override slice(): Uint8Array<ArrayBuffer> {
      const copy = Uint8Array.from(this)
      keys.push(copy)
      return copy
    }
  }
  return { keys, spied: (key: Uint8Array) => new SpiedKey(key) }
})

vi.mock('../../../src/crypto/stream.ts', async (original) => {
  const stream = await original<typeof import('../../../src/crypto/stream.ts')>()
  class StreamOpener extends stream.StreamOpener {
    constructor(key: Uint8Array) {
      super(spied(key))
    }
  }
  class StreamSealer extends stream.StreamSealer {
    constructor(key: Uint8Array) {
      super(spied(key))
    }
  }
  const messageKey: typeof stream.messageKey = (...parts) => {
    const key = stream.messageKey(...parts)
    keys.push(key)
    return key
  }
  return { ...stream, messageKey, StreamOpener, StreamSealer }
})

beforeEach(() => {
  keys.length = 0
})

const left = () => keys.filter((key) => key.some((byte) => byte !== 0)).length

describe('no message key is left', () => {
  test('after a transfer', async () => {
    const outcome = await play({ seed: new Seed('wiped') })
    expect(outcome.sender.names).toBe('delivered')
    // Two hellos, offer, answer, content, sent, take, receipt and two goodbyes, sealed here and opened there; each key is made,
    // and copied by its stream.
    expect(keys.length).toBe(40)
    expect(left()).toBe(0)
  })

  const attackers = [...forgeryCases, ...payloadCases, ...spliceCases].map((each): [string, Case] => [
    `${each.operator}, against the ${each.against}`,
    each,
  ])
  test.each(attackers)('after %s', async (_, attacker) => {
    const seed = new Seed(attacker.operator)
    await play({ ...(await attacker.plan(seed)), seed })
    expect(left()).toBe(0)
  })
})
