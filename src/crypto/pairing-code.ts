/**
 * The pairing code a person reads aloud or types: `LLLLL-SSSSSC` in Crockford base32.
 * locator (sent to the relay) · secret (never leaves the two devices) · check symbol (never sent, logged or derived from).
 */

import { ALPHABET, isCrockford } from './encoding.ts'
import { drawBytes, type RandomBytes } from './secrets.ts'

/** A pairing code in canonical symbols. `text` is the display form, for example `K7QM3-XPDT28`. */
export interface PairingCode {
  readonly locator: string
  readonly secret: string
  readonly text: string
}

const LOCATOR_SYMBOLS = 5
const CODE_SYMBOLS = 10
const RECEIVER_CODE_SYMBOLS = 6

const ADVICE = {
  length:
    'A pairing code has 11 symbols, like five, a dash and six. Check whether something is missing or was typed twice.',
  symbol: 'A pairing code has only digits and letters, and never the letter U. Check what you typed.',
  check: 'That is not quite the code: one symbol is wrong or two are swapped. Compare it with the other device.',
} as const

/** The typed code cannot be right. The message tells a person what to do and never echoes what was typed. */
export class PairingCodeError extends Error {
  override readonly name = 'PairingCodeError'
  readonly reason: 'length' | 'symbol' | 'check'

  constructor(reason: 'length' | 'symbol' | 'check') {
    super(ADVICE[reason])
    this.reason = reason
  }
}

/** A fresh pairing code: 25 random bits of locator, 25 independent ones of secret. Draws 10 bytes in one call. */
export function generatePairingCode(random: RandomBytes): PairingCode {
  return toPairingCode(randomSymbols(random, CODE_SYMBOLS))
}

/**
 * Reads what a person typed: any case, O for 0, I or L for 1, spaces and dashes anywhere.
 * @throws PairingCodeError for a foreign character, else a wrong length, else a wrong check symbol, in that order
 */
export function parsePairingCode(input: string): PairingCode {
  const symbols = normalize(input)
  if (!isCrockford(symbols, symbols.length)) throw new PairingCodeError('symbol')
  if (symbols.length !== CODE_SYMBOLS + 1) throw new PairingCodeError('length')
  const code = toPairingCode(symbols.slice(0, CODE_SYMBOLS))
  if (!code.text.endsWith(symbols.slice(CODE_SYMBOLS))) throw new PairingCodeError('check')
  return code
}

/** Six random symbols by which the relay and the sender tell receivers apart; not a secret. Draws 6 bytes. */
export function randomReceiverCode(random: RandomBytes): string {
  return randomSymbols(random, RECEIVER_CODE_SYMBOLS)
}

/**
 * The check symbol over ten canonical symbols: in GF(32) = GF(2)[x]/(x^5+x^2+1) all eleven symbols, weighted with
 * alpha^1 .. alpha^11, sum to zero. The weights differ, so any one substitution and any swap of two symbols shows.
 * @throws RangeError unless given ten symbols of the alphabet
 */
export function checkSymbol(tenSymbols: string): string {
  if (!isCrockford(tenSymbols, CODE_SYMBOLS)) throw new RangeError('checkSymbol takes ten canonical symbols')
  // Horner from the far end: what is summed here is s[i]·alpha^(i+1), and the check symbol carries alpha^11.
  let sum = 0
  for (let i = CODE_SYMBOLS - 1; i >= 0; i--) sum = timesAlpha(sum ^ ALPHABET.indexOf(tenSymbols.charAt(i)))
  // Division by alpha^11 is multiplication by alpha^20, because alpha^31 = 1.
  for (let i = 0; i < 20; i++) sum = timesAlpha(sum)
  return ALPHABET.charAt(sum)
}

function toPairingCode(tenSymbols: string): PairingCode {
  const locator = tenSymbols.slice(0, LOCATOR_SYMBOLS)
  const secret = tenSymbols.slice(LOCATOR_SYMBOLS)
  return { locator, secret, text: `${locator}-${secret}${checkSymbol(tenSymbols)}` }
}

/** ASCII only, on purpose: `toUpperCase` would turn the long s or the dotless i of other alphabets into our letters. */
function normalize(input: string): string {
  return input
    .replace(/[\s\-\u2010-\u2015\u2212\u200b-\u200d\u2060]/g, '') // phones and messengers add dashes and invisible characters
    .replace(/[a-z]/g, (letter) => letter.toUpperCase())
    .replaceAll('O', '0')
    .replace(/[IL]/g, '1')
}

/** Takes one byte for each symbol: 256 is a multiple of 32, so the low five bits are unbiased. */
function randomSymbols(random: RandomBytes, count: number): string {
  const bytes = drawBytes(random, count)
  let symbols = ''
  for (const byte of bytes) symbols += ALPHABET.charAt(byte & 31)
  bytes.fill(0)
  return symbols
}

function timesAlpha(value: number): number {
  const doubled = value << 1
  return doubled & 32 ? doubled ^ 0b100101 : doubled
}
