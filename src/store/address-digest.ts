import { createHmac } from 'node:crypto'

/** Base64url characters of a digest: 36 bits tell the client addresses of one relay apart, and say no address. */
const DIGEST_CHARACTERS = 6

/** Digests of client addresses under a key that nobody else has. Nobody's address is nobody's digest. */
export function digestAddress(key: string, clientAddress: string): string {
  if (clientAddress === '') return ''
  return createHmac('sha256', key).update(clientAddress).digest('base64url').slice(0, DIGEST_CHARACTERS)
}
