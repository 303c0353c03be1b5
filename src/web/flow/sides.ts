/** Both sides of a pairing, with all of the cryptography: a part that comes when there is something to send, or a code. */
export { Receiver } from '../../client/index.ts'
export { Host } from './host.ts'
