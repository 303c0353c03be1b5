import { concatBytes, utf8ToBytes } from '@noble/hashes/utils.js'

export { concatBytes }

/** Starts every hashed label, so that no value of this protocol can be taken for one of another. */
export const LABEL = 'pairlay/v1 '

/** Crockford base32: no I, L, O (misread) and no U. The index of a symbol is its value. */
export const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Reports whether a text is so many canonical Crockford symbols. */
export function isCrockford(text: string, length: number): boolean {
  return text.length === length && [...text].every((symbol) => ALPHABET.includes(symbol))
}

/** Crockford base32 of any bytes, most significant bit first, the last symbol padded with zero bits; no check symbol. */
export function encodeCrockford(bytes: Uint8Array): string {
  let text = ''
  let pending = 0
  let pendingBits = 0
  for (const byte of bytes) {
    pending = ((pending << 8) | byte) & 0xfff
    for (pendingBits += 8; pendingBits >= 5; pendingBits -= 5) {
      text += ALPHABET.charAt((pending >> (pendingBits - 5)) & 31)
    }
  }
  return pendingBits > 0 ? text + ALPHABET.charAt((pending << (5 - pendingBits)) & 31) : text
}

/** The draft's `lv_cat`: every part behind its length in LEB128. A string stands for its UTF-8 bytes. */
export function lv(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  return concatBytes(
    ...parts.flatMap((part) => {
      const bytes = typeof part === 'string' ? utf8ToBytes(part) : part
      return [leb128(bytes.length), bytes]
    }),
  )
}

function leb128(length: number): Uint8Array {
  const bytes: number[] = []
  let rest = length
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Uint8Array.of(...bytes, rest)
}

/** The bytes of what `encodeCrockford` wrote. Throws RangeError for other symbols. */
export function decodeCrockford(symbols: string): Uint8Array {
  const bytes = new Uint8Array(Math.floor((symbols.length * 5) / 8))
  let pending = 0
  let pendingBits = 0
  let at = 0
  for (const symbol of symbols) {
    const value = ALPHABET.indexOf(symbol)
    if (value < 0) throw new RangeError('this is not Crockford base32')
    pending = ((pending << 5) | value) & 0xfff
    pendingBits += 5
    if (pendingBits < 8) continue
    pendingBits -= 8
    bytes[at++] = pending >> pendingBits
  }
  return bytes
}
