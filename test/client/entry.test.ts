import { expect, test } from 'vitest'
import { parseEntry } from '../../src/client/entry.ts'
import { PairingError } from '../../src/client/errors.ts'
import { pairingErrorOf } from './support.ts'

/** A code as people have it in hand: typed, or the link that the sender's SDK gives out. */

const CODE = 'K7QM3-XPDT28'

test.each([
  [{ code: CODE, relay: 'https://relay.example' }, 'https://relay.example'],
  [{ code: `#${CODE}`, relay: 'https://relay.example' }, 'https://relay.example'],
  [{ code: `https://relay.example/#${CODE}` }, 'https://relay.example'],
  [{ code: `  https://relay.example/sub/#${CODE}\n` }, 'https://relay.example/sub'],
  [{ code: `https://relay.example/#${CODE}`, relay: 'https://relay.example' }, 'https://relay.example'],
  [{ link: `https://relay.example/#${CODE}` }, 'https://relay.example'],
  [{ link: `https://relay.example/?a=b#${CODE}&utm_source=chat` }, 'https://relay.example'],
])('%j names a code and a relay', (entry, relay) => {
  expect(parseEntry(entry)).toMatchObject({ relay, code: { text: CODE } })
})

test('a link of another relay than the one to be used is refused, and says so', async () => {
  const attacker = { code: `https://evil.example/#${CODE}`, relay: 'https://relay.example' }
  expect(await pairingErrorOf(() => parseEntry(attacker))).toBe('code_invalid')
  expect(() => parseEntry(attacker)).toThrow('another relay')
})

test.each([{ code: 'https://relay.example/' }, { link: 'https://relay.example' }, { link: CODE }])(
  'a link without a code is refused, and says where the code would be: %j',
  async (entry) => {
    expect(await pairingErrorOf(() => parseEntry(entry))).toBe('code_invalid')
    expect(() => parseEntry(entry)).toThrow('behind a #')
  },
)

test.each([{}, { code: 7 }, { link: null }, { code: CODE, link: `https://relay.example/#${CODE}` }])(
  'what is no entry, or two, is a TypeError that says what to give: %j',
  (entry) => {
    expect(() => parseEntry(entry as object)).toThrow(TypeError)
    expect(() => parseEntry(entry as object)).toThrow('a code or a link')
  },
)

test('a mistyped code is refused with what is wrong with it', () => {
  const typed = { code: 'K7QM3-XPDT27', relay: 'https://relay.example' }
  const refused = () => parseEntry(typed)
  expect(refused).toThrow(PairingError)
  expect(refused).toThrow(/wrong|swapped/)
  expect(refused).not.toThrow('XPDT2')
})
