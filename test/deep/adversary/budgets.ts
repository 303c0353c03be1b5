import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { PairingError, Receiver } from '../../../src/client/index.ts'
import { generator } from '../../../src/crypto/cpace.ts'
import { associateReceiver, commitReceiver } from '../../../src/crypto/transcript.ts'
import { FakeTime, settled } from '../../client/fake-time.ts'
import { device } from './device.ts'
import { type Operator, Relay } from './relay.ts'
import type { Seed } from './seed.ts'

/** Finds out the rest of a code's budgets by spending it. */

/** The design's budgets: wrong guesses at the sender, tags of a receiver. Written here again, not imported. */
export const GUESSES = 5
export const TAGS = 3

const point = generator('anybody', new Uint8Array(), new Uint8Array()) // a good point; who made it knows no code
const mlKemPublicKey = ml_kem768.keygen(new Uint8Array(64).fill(1)).publicKey
export const SYMBOLS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** The guesses at the secret that the sender still allows; undefined when it admits nobody any more. */
export async function guessesLeft(relay: Relay, seed: Seed): Promise<number | undefined> {
  const shut = () => relay.commands.includes('DELETE code') || relay.commands.includes('DELETE')
  // A code that is shut admits nobody, whoever the relay brings.
  const admits = async () => ((await guess(relay, seed)) ? Number.POSITIVE_INFINITY : undefined)
  if (shut()) return admits()
  for (let guesses = 1; guesses <= 8; guesses++) {
    if (!(await guess(relay, seed))) return undefined
    if (shut()) return (await admits()) ?? guesses
  }
  return Number.POSITIVE_INFINITY
}

/** Makes a wrong guess with everything else in order. Returns false when the sender did not even answer m1. */
export async function guess(relay: Relay, seed: Seed): Promise<boolean> {
  const attacker = receiverWithoutCode(seed)
  const answers: Uint8Array[] = []
  const guest = relay.invite(attacker.receiverCode, Buffer.from(attacker.publicKey).toString('base64url'), (answer) => {
    answers.push(answer)
  })
  const say = async (ciphertext: Uint8Array) => {
    relay.deliver({ meeting: relay.meeting, guest, from: 'receiver', ciphertext })
    await settled()
  }
  await settled()
  await say(attacker.m1)
  if (answers.length === 0) return false
  await say(attacker.m3)
  return true
}

/** Messages of a receiver that knows everything but the code: bound by a valid commitment, with a tag out of the air. */
export function receiverWithoutCode(seed: Seed) {
  const receiverCode = Array.from({ length: 6 }, () => SYMBOLS[seed.below(32)]).join('')
  const [publicKey, nonce] = [seed.bytes(32), seed.bytes(32)]
  const commitment = commitReceiver(point, associateReceiver({ receiverCode, publicKey, nonce, mlKemPublicKey }))
  return {
    receiverCode,
    publicKey,
    m1: Buffer.concat([nonce, commitment, mlKemPublicKey]),
    m3: Buffer.concat([point, seed.bytes(32)]),
  }
}

/** An m2 of a sender without the code: whatever it holds, the receiver can only answer with a tag or not at all. */
export const senderWithoutCode = (seed: Seed): Uint8Array =>
  Buffer.concat([seed.bytes(32), seed.bytes(32), point, seed.bytes(1088)])

/** Answers every m1 with an m2 out of the air, in a session that no sender asked for. */
export function pretender(seed: Seed): Operator {
  return {
    name: 'a sender that does not exist',
    join(request, relay) {
      relay.pretend(request.senderCode)
      return request
    },
    data(frame, relay) {
      if (frame.seq === 1) relay.deliver({ ...frame, from: 'sender', ciphertext: senderWithoutCode(seed) })
      return []
    },
  }
}

/** The tags that the device with a seed would still emit for a code, however often its person tries. */
export async function tagsLeft(code: string, own: Seed, seed: Seed): Promise<number> {
  for (let tags = 0; tags <= 5; tags++) {
    const time = new FakeTime()
    const relay = new Relay(time, seed)
    relay.operators = [pretender(seed)]
    try {
      const environment = device('receiver', own, relay)
      const receiver = await Receiver.join({ relay: 'https://relay.test', code, environment })
      await settled()
      await receiver.close()
    } catch (error) {
      if (error instanceof PairingError && error.code === 'attempts_used_up') return tags
      throw error
    }
    const emitted = relay.frames.filter(({ from, seq }) => from === 'receiver' && seq === 2).length
    if (emitted !== 1) throw new Error(`a join emitted ${emitted} tags`)
  }
  return Number.POSITIVE_INFINITY
}
