/** Fixtures and seeded randomness for the tests of this folder. */
import { readFileSync } from 'node:fs'
import type { PairingCode } from '../../src/crypto/pairing-code.ts'
import type { RandomBytes } from '../../src/crypto/secrets.ts'

interface Party {
  readonly secretKey: string
  readonly nonce: string
  readonly scalarBytes: string
}

/** A known answer; every byte string is hex. */
export interface HandshakeVector {
  readonly name: string
  readonly inputs: {
    readonly locator: string
    readonly secret: string
    readonly receiverCode: string
    readonly sessionId: string
    readonly receiver: Party & { readonly mlKemSeed: string }
    readonly sender: Party & { readonly mlKemRandomness: string }
  }
  readonly m1: { readonly publicKey: string; readonly frame: string }
  readonly m2: string
  readonly m3: string
  readonly m4: string
  readonly derived: Record<
    'isk' | 'transcriptHash' | 'trafficSenderToReceiver' | 'trafficReceiverToSender' | 'matchNumber' | 'fingerprint',
    string
  >
  readonly stream: {
    readonly senderMessage0Key: string
    readonly senderMessage1Key: string
    readonly receiverMessage0Key: string
    readonly emptyMessage0: readonly string[]
    readonly twoChunkMessage1: { readonly sha512OfChunk0: string; readonly chunk1: string }
  }
}

export interface CpaceVectors {
  readonly X25519_points: Record<string, string>
  readonly G_Coffee25519: Record<
    'PRS' | 'CI' | 'sid' | 'g' | 'ya' | 'ADa' | 'Ya' | 'yb' | 'ADb' | 'Yb' | 'K' | 'ISK_IR' | 'sid_output_ir',
    string
  >
  readonly G_Coffee25519_points: {
    readonly Valid: Record<'s' | 'X' | 'G.scalar_mult_vfy(s,X)', string>
    readonly 'Invalid Y1': string
    readonly 'Invalid Y2': string
  }
}

const read = (name: string) => JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'))
export const handshakeVectors: readonly HandshakeVector[] = read('handshake.json').vectors
export const cpaceVectors: CpaceVectors = read('cpace.json')

export const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'))
export const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
export const toBase64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')

/** The handshake uses these two fields only; one vector has a secret no person could type. */
export const codeOf = (locator: string, secret: string): PairingCode => ({ locator, secret, text: 'not used' })

/**
 * Hands out the given arrays, in order, and fails if another length is asked for. After them it goes on for ever: a state
 * machine that answers twice must be caught by its own rules, not by running out of randomness.
 */
export function scriptedRandom(...script: readonly string[]): RandomBytes {
  const left = script.map(fromHex)
  const endless = seededRandom(script.length)
  return (length) => {
    const bytes = left.shift() ?? endless(length)
    if (bytes.length !== length) throw new Error(`asked for ${length} bytes, the script has ${bytes.length}`)
    return bytes
  }
}

/** xorshift32: evenly spread, the same on every machine, and no good for anything but tests. */
export function seededRandom(seed: number): RandomBytes {
  let state = seed | 0 || 1
  const nextByte = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 11) & 0xff
  }
  return (length) => Uint8Array.from({ length }, nextByte)
}

/** A copy with one bit inverted; bit 0 is the lowest of the first byte. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice()
  copy[bit >> 3] ^= 1 << (bit & 7)
  return copy
}

/** Calls and returns what was thrown; undefined if nothing was. */
export function thrownBy(call: () => unknown): unknown {
  try {
    call()
    return undefined
  } catch (error) {
    return error
  }
}
