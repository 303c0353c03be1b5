/** Text or bytes that do not have the documented form. The edge that called decides what to answer. */
export class CodecError extends Error {
  override readonly name = 'CodecError'
}

/**
 * Parses JSON from the other side. Refuses what is not JSON and any object with a key `__proto__`, which would
 * otherwise become a prototype as soon as somebody copies the object. Throws CodecError.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text, (key, value) => {
      if (key === '__proto__') throw new CodecError('no object has a key __proto__')
      return value
    })
  } catch (error) {
    throw error instanceof CodecError ? error : new CodecError('the text is not JSON')
  }
}

/** The bytes a text takes in UTF-8. */
export function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length
}

/** RFC 4648 section 5, without padding. */
export function encodeBase64Url(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

/**
 * Decodes base64url without padding, strictly: text that another encoder would have written differently is refused,
 * so that equal bytes have one text. Throws CodecError.
 */
export function decodeBase64Url(text: string): Uint8Array {
  let bytes: Uint8Array
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
    bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0))
  } catch {
    throw new CodecError('the text is not base64url')
  }
  if (encodeBase64Url(bytes) !== text) throw new CodecError('the text is not base64url')
  return bytes
}
