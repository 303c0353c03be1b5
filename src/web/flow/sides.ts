/** Everything of a pairing, with all of the cryptography: a part that comes when there is something to send, or a code. */
export { Receiver, warmUp } from '../../client/index.ts'
export { qrPicture } from '../screens/qr.ts'
export { Host } from './host.ts'
export { Incoming } from './incoming.ts'
