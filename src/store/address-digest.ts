import { createHmac } from 'node:crypto'
import { remembered } from './remembered.ts'

/** Base64url characters of a digest: 36 bits tell the client addresses of one relay apart, and say no address. */
const DIGEST_CHARACTERS = 6

/** Digests client addresses under a key that nobody else has. Nobody's address is nobody's digest. */
export function addressDigests(key: string): (clientAddress: string) => string {
  return remembered((clientAddress) => {
    if (clientAddress === '') return ''
    return createHmac('sha256', key).update(clientAddress).digest('base64url').slice(0, DIGEST_CHARACTERS)
  })
}
