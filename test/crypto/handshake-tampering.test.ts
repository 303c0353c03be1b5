/** Peers that cheat. A relay that changes what honest ones send is in the adversary suite, which flips every bit. */
import nacl from 'tweetnacl'
import { describe, expect, it } from 'vitest'
import { HandshakeError, type VerifiedPeer } from '../../src/crypto/handshake.ts'
import {
  attackingReceiver,
  attackingSender,
  code,
  type Forgery,
  m1,
  newReceiver,
  newSender,
  senderAwaitingM3,
  sessionId,
} from './runs.ts'
import { codeOf, cpaceVectors, fromHex, thrownBy } from './support.ts'

describe('a peer with a wrong secret', () => {
  it.each(['XPDT3', 'XPDT', 'XPDT22', '', 'xpdt2'])('%j spends a guess at the sender', (attacker) => {
    const receiver = newReceiver(codeOf(code.locator, attacker))
    const sender = newSender()
    const guess = receiver.answerM2(sender.answerM1(receiver.start(sessionId)))
    expect(thrownBy(() => sender.answerM3(guess))).toMatchObject({ name: 'HandshakeError', guessSpent: true })
  })

  it('as a sender is refused in m4', () => {
    const attacker = attackingSender({ secret: 'XPDT3' })
    const receiver = newReceiver()
    const guess = receiver.answerM2(attacker.answerM1(receiver.publicKey, receiver.start(sessionId)))
    expect(thrownBy(() => receiver.finish(attacker.answerM3(guess)))).toMatchObject({ guessSpent: false })
  })
})

/** The real sender against a receiver built by hand: the peer it accepts, or the error. */
function attackSender(forgery: Forgery): VerifiedPeer | HandshakeError {
  const attacker = attackingReceiver(forgery)
  const sender = newSender({ receiverPublicKey: attacker.publicKey })
  const m3 = attacker.answerM2(sender.answerM1(attacker.m1))
  try {
    return sender.answerM3(m3).peer
  } catch (error) {
    if (error instanceof HandshakeError) return error
    throw error
  }
}

/** The real receiver against a sender built by hand: how far it goes, or the error and the step that threw it. */
function attackReceiver(forgery: Forgery): 'verified' | 'refused m2' | 'refused m4' {
  const attacker = attackingSender(forgery)
  const receiver = newReceiver()
  const m2 = attacker.answerM1(receiver.publicKey, receiver.start(sessionId))
  let m3: Uint8Array
  try {
    m3 = receiver.answerM2(m2)
  } catch {
    return 'refused m2'
  }
  return thrownBy(() => receiver.finish(attacker.answerM3(m3))) ? 'refused m4' : 'verified'
}

const zero = new Uint8Array(32)
const undecodable = fromHex(cpaceVectors.G_Coffee25519_points['Invalid Y1'])
const wrongTag = new Uint8Array(32).fill(7)
const lowOrder = Object.entries(cpaceVectors.X25519_points)
  .map(([name, hex]) => ({ name, point: fromHex(hex) }))
  .filter(({ point }) => nacl.verify(nacl.scalarMult(zero, point), zero))

describe('a peer that knows the rules', () => {
  it('is accepted as long as it keeps them, so what follows fails for its forgery alone', () => {
    expect(attackSender({})).toHaveProperty('matchNumber')
    expect(attackReceiver({})).toBe('verified')
  })

  it('cannot replace the secret by the identity, for which everybody knows K', () => {
    const attacker = { secret: 'WRONG', point: zero, K: zero }
    expect(attackSender(attacker)).toMatchObject({ name: 'HandshakeError', guessSpent: false })
    expect(attackReceiver(attacker)).toBe('refused m2')
  })

  it('cannot choose the match number last, by opening another nonce than it committed to', () => {
    const attacker = { opens: new Uint8Array(32).fill(0x47) }
    expect(attackReceiver(attacker)).toBe('refused m4')
  })

  it('cannot send a point that does not decode', () => {
    const attacker = { point: undecodable, K: zero }
    expect(attackSender(attacker)).toMatchObject({ name: 'HandshakeError', guessSpent: false })
    expect(attackReceiver(attacker)).toBe('refused m2')
  })

  it('finds seven of the official X25519 points to be of low order', () => {
    const names = ['Invalid Y0', 'Invalid Y1', 'Invalid Y2', 'Invalid Y3', 'Invalid Y4', 'Invalid Y5', 'Invalid Y7']
    expect(lowOrder.map(({ name }) => name)).toEqual(names)
  })

  it.each(lowOrder)('cannot make dh zero with $name', ({ point }) => {
    const attacker = { publicKey: point, dh: zero }
    expect(attackSender(attacker)).toMatchObject({ name: 'HandshakeError', guessSpent: false })
    expect(attackReceiver(attacker)).toBe('refused m2')
  })

  it('spends a guess with a wrong tag only if commitment, points and dh are good', () => {
    const attackers: [Forgery, boolean][] = [
      [{ tag: wrongTag }, true],
      [{ tag: wrongTag, point: undecodable, K: zero }, false],
      [{ tag: wrongTag, point: zero, K: zero }, false],
      [{ tag: wrongTag, publicKey: zero, dh: zero }, false],
    ]
    for (const [attacker, guessSpent] of attackers) expect(attackSender(attacker)).toMatchObject({ guessSpent })
    const attacker = Buffer.concat([zero, wrongTag]) // not the point that was committed to
    expect(thrownBy(() => senderAwaitingM3().answerM3(attacker))).toMatchObject({ guessSpent: false })
  })

  it('cannot send an ML-KEM key outside the modulus', () => {
    const attacker = m1.slice()
    attacker.set([0xff, 0xff], 64) // the first coefficient becomes 4095, and q is 3329
    expect(thrownBy(() => newSender().answerM1(attacker))).toMatchObject({ name: 'HandshakeError', guessSpent: false })
  })
})
