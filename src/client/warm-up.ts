import { ReceiverHandshake, SenderHandshake, wipeKeys } from '../crypto/handshake.ts'
import { generatePairingCode, randomReceiverCode } from '../crypto/pairing-code.ts'
import type { RandomBytes } from '../crypto/secrets.ts'

/** The id of no session, in its form: 16 bytes. */
const NO_SESSION = 'A'.repeat(22)

/**
 * Pairs this device with itself and forgets it, so that the engine has compiled what a handshake needs before somebody waits for
 * it. Call it when people begin to read a code: it blocks for 0.1 s or more. Nothing leaves this device. Never throws.
 */
export function warmUp(random: RandomBytes = (length) => crypto.getRandomValues(new Uint8Array(length))): void {
  const code = generatePairingCode(random)
  const receiverCode = randomReceiverCode(random)
  const receiver = new ReceiverHandshake({ code, receiverCode, random })
  const receiverPublicKey = receiver.publicKey
  const sender = new SenderHandshake({ code, sessionId: NO_SESSION, receiverCode, receiverPublicKey, random })
  const { m4, peer } = sender.answerM3(receiver.answerM2(sender.answerM1(receiver.start(NO_SESSION))))
  wipeKeys(peer)
  wipeKeys(receiver.finish(m4))
}
