/**
 * A relay that flips one bit anywhere, and peers that cheat. Every flip is tried against fresh state machines with the
 * first vector's randomness, so the messages an honest side sends before the flip are known and need not be recomputed.
 */
import nacl from 'tweetnacl'
import { describe, expect, it } from 'vitest'
import { HandshakeError, type VerifiedPeer } from '../../src/crypto/handshake.ts'
import {
  attackingReceiver,
  attackingSender,
  code,
  type Forgery,
  m1,
  m2,
  m3,
  m4,
  newReceiver,
  newSender,
  publicKey,
  receiverAwaitingM4,
  receiverCode,
  type SenderOverrides,
  senderAwaitingM3,
  sessionId,
  sessionIdBytes,
} from './runs.ts'
import { codeOf, cpaceVectors, flipBit, fromHex, thrownBy, toBase64url } from './support.ts'

/** The outcome of a run that the relay tampered with and otherwise carried faithfully to its end. */
type Outcome = 'sender verified' | 'both verified' | { readonly stopped: HandshakeError }

interface Tampering {
  readonly sender?: SenderOverrides
  readonly m1?: Uint8Array
  readonly m2?: Uint8Array
  readonly m3?: Uint8Array
  readonly m4?: Uint8Array
  readonly receiverSessionId?: string
}

/** A whole run with both real sides; `tampering` replaces what the relay delivers. */
function play(tampering: Tampering = {}): Outcome {
  let peer: VerifiedPeer | undefined
  try {
    const receiver = newReceiver()
    const sender = newSender(tampering.sender)
    const sentM1 = receiver.start(tampering.receiverSessionId ?? sessionId)
    const sentM2 = sender.answerM1(tampering.m1 ?? sentM1)
    const sentM3 = receiver.answerM2(tampering.m2 ?? sentM2)
    const answer = sender.answerM3(tampering.m3 ?? sentM3)
    peer = answer.peer
    receiver.finish(tampering.m4 ?? answer.m4)
    return 'both verified'
  } catch (error) {
    if (!(error instanceof HandshakeError)) throw error
    return peer ? 'sender verified' : { stopped: error }
  }
}

/** The bits for which `tamper` does not stop the run before anybody is verified. */
const survivors = (bits: readonly number[], tamper: (bit: number) => Outcome): number[] =>
  bits.filter((bit) => typeof tamper(bit) === 'string')

/** Bits of a field, another one in each byte. The adversary suite flips them all. */
const bitsOf = (firstByte: number, bytes: number) =>
  Array.from({ length: bytes }, (_, i) => (firstByte + i) * 8 + (i % 8))
/** 24 bits spread over a field: of different bytes, and of different bits in them. */
const sampleOf = (firstByte: number, bytes: number) =>
  Array.from({ length: 24 }, (_, i) => (firstByte + Math.floor((i * (bytes - 1)) / 23)) * 8 + (i % 8))

describe('one flipped bit', () => {
  it('is what these tests add: the same run without it verifies both sides', () => {
    expect(play()).toBe('both verified')
    expect(play({ m1, m2, m3, m4 })).toBe('both verified')
  })

  it.each([
    ['n_R', bitsOf(0, 32)],
    ['commit_R', bitsOf(32, 32)],
    ['ek_R (sampled)', sampleOf(64, 1184)],
  ])('in %s of m1 leaves neither side verified', (_, bits) => {
    expect(survivors(bits, (bit) => play({ m1: flipBit(m1, bit) }))).toEqual([])
  })

  it.each([
    ['X_S', bitsOf(0, 32)],
    ['commit_S', bitsOf(32, 32)],
    ['Ya', bitsOf(64, 32)],
    ['ct (sampled)', sampleOf(96, 1088)],
  ])('in %s of m2 leaves neither side verified', (_, bits) => {
    // Most of these the receiver cannot see, and answers; then the sender must see them in m3.
    expect(survivors(bits, (bit) => play({ m2: flipBit(m2, bit) }))).toEqual([])
  })

  it.each([
    ['Yb', bitsOf(0, 32), false],
    ['T_R', bitsOf(32, 32), true],
  ])('in %s of m3 leaves neither side verified', (_, bits, guessSpent) => {
    const errors = bits.map((bit) => thrownBy(() => senderAwaitingM3().answerM3(flipBit(m3, bit))))
    expect(errors.filter((error) => !(error instanceof HandshakeError && error.guessSpent === guessSpent))).toEqual([])
  })

  it.each([
    ['n_S', bitsOf(0, 32)],
    ['T_S', bitsOf(32, 32)],
  ])('in %s of m4 leaves the receiver unverified', (_, bits) => {
    const errors = bits.map((bit) => thrownBy(() => receiverAwaitingM4().finish(flipBit(m4, bit))))
    expect(errors.filter((error) => !(error instanceof HandshakeError) || error.guessSpent)).toEqual([])
  })

  it('in the public key of the join leaves neither side verified', () => {
    const tamper = (bit: number) => play({ sender: { receiverPublicKey: flipBit(publicKey, bit) } })
    expect(survivors(bitsOf(0, 32), tamper)).toEqual([])
  })

  const flipText = (text: string, bit: number) => Buffer.from(flipBit(Buffer.from(text), bit)).toString('latin1')

  it('in the receiver code leaves neither side verified', () => {
    const tamper = (bit: number) => play({ sender: { receiverCode: flipText(receiverCode, bit) } })
    expect(survivors(bitsOf(0, 6), tamper)).toEqual([])
  })

  it('in the locator leaves neither side verified', () => {
    const tamper = (bit: number) => play({ sender: { code: codeOf(flipText(code.locator, bit), code.secret) } })
    expect(survivors(bitsOf(0, 5), tamper)).toEqual([])
  })

  it('in the session id leaves neither side verified', () => {
    const tamper = (bit: number) => play({ receiverSessionId: toBase64url(flipBit(sessionIdBytes, bit)) })
    expect(survivors(bitsOf(0, 16), tamper)).toEqual([])
  })
})

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
