import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { ReceiverHandshake, SenderHandshake, wipeKeys } from './handshake.ts'
import { generatePairingCode, randomReceiverCode } from './pairing-code.ts'
import type { RandomBytes } from './secrets.ts'

/** The id of no session, in its form: 16 bytes. */
const NO_SESSION = 'A'.repeat(22)

let warmed: Promise<void> | undefined

/**
 * Pairs this device with itself and forgets it, so that the engine has compiled what a handshake needs before somebody waits for
 * it. Call it when people begin to read or type a code. It takes 0.1 s or more, in steps between which other work goes on. Nothing
 * leaves this device. Called again it does nothing. Never rejects.
 */
export function warmUp(): Promise<void> {
  warmed ??= pairWithItself(
    (length) => crypto.getRandomValues(new Uint8Array(length)),
    () => new Promise((resolve) => setTimeout(resolve)),
  )
  return warmed
}

/** The same, each time, with these random bytes and this wait between two steps. */
export async function pairWithItself(random: RandomBytes, pause: () => Promise<void>): Promise<void> {
  const code = generatePairingCode(random)
  const receiverCode = randomReceiverCode(random)
  const receiver = new ReceiverHandshake({ code, receiverCode, random })
  const receiverPublicKey = receiver.publicKey
  const sender = new SenderHandshake({ code, sessionId: NO_SESSION, receiverCode, receiverPublicKey, random })
  await pause()
  // The first half of what comes next, which is the longest step by far.
  ml_kem768.keygen(new Uint8Array(64))
  await pause()
  const m1 = receiver.start(NO_SESSION)
  await pause()
  const m2 = sender.answerM1(m1)
  await pause()
  const m3 = receiver.answerM2(m2)
  await pause()
  const { m4, peer } = sender.answerM3(m3)
  wipeKeys(peer)
  wipeKeys(receiver.finish(m4))
}
