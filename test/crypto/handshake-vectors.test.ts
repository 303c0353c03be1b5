import { sha512 } from '@noble/hashes/sha2.js'
import { describe, expect, it } from 'vitest'
import { generator, intermediateSessionKey, multiply, sampleScalar, transcript } from '../../src/crypto/cpace.ts'
import { encodeCrockford } from '../../src/crypto/encoding.ts'
import { formatMatchNumber, ReceiverHandshake, SenderHandshake } from '../../src/crypto/handshake.ts'
import { Secrets } from '../../src/crypto/secrets.ts'
import { CHUNK_BYTES, messageKey, StreamSealer } from '../../src/crypto/stream.ts'
import {
  associateReceiver,
  associateSender,
  channelIdentifier,
  hashTranscript,
  KeySchedule,
  sessionIdentifier,
} from '../../src/crypto/transcript.ts'
import {
  codeOf,
  fromHex,
  type HandshakeVector,
  handshakeVectors,
  scriptedRandom,
  seededRandom,
  toBase64url,
  toHex,
} from './support.ts'

const DEFAULTS: { readonly sender: Uint8Array; readonly receiver: Uint8Array } = {
  sender: Uint8Array.of(1),
  receiver: Uint8Array.of(1),
}

function play({ inputs }: HandshakeVector, profiles = DEFAULTS) {
  const { receiverCode } = inputs
  const code = codeOf(inputs.locator, inputs.secret)
  const sessionId = toBase64url(fromHex(inputs.sessionId))
  const drawsR = [
    inputs.receiver.secretKey,
    inputs.receiver.nonce,
    inputs.receiver.scalarBytes,
    inputs.receiver.mlKemSeed,
  ]
  const drawsS = [
    inputs.sender.secretKey,
    inputs.sender.nonce,
    inputs.sender.scalarBytes,
    inputs.sender.mlKemRandomness,
  ]
  const { sender: profile, receiver: receiverProfile } = profiles
  const receiver = new ReceiverHandshake({
    code,
    receiverCode,
    profile: receiverProfile,
    random: scriptedRandom(...drawsR),
  })
  const receiverPublicKey = receiver.publicKey
  const random = scriptedRandom(...drawsS)
  const options = { code, sessionId, receiverCode, receiverPublicKey, random }
  const sender = new SenderHandshake({ ...options, profile, receiverProfile })
  const m1 = receiver.start(sessionId, profile)
  const m2 = sender.answerM1(m1)
  const m3 = receiver.answerM2(m2)
  const { m4, peer: seenBySender } = sender.answerM3(m3)
  const seenByReceiver = receiver.finish(m4)
  return { publicKey: receiver.publicKey, m1, m2, m3, m4, seenBySender, seenByReceiver }
}

function exchangeOf(vector: HandshakeVector) {
  const { receiverCode, locator, secret, receiver } = vector.inputs
  const [m1, m2, m3] = [vector.m1.frame, vector.m2, vector.m3].map(fromHex)
  const nonce = m1.slice(0, 32)
  const receiverPart = { receiverCode, publicKey: fromHex(vector.m1.publicKey), nonce, mlKemPublicKey: m1.slice(64) }
  const senderPart = {
    sessionId: fromHex(vector.inputs.sessionId),
    publicKey: m2.slice(0, 32),
    senderCommitment: m2.slice(32, 64),
    receiverCommitment: m1.slice(32, 64),
    mlKemCiphertext: m2.slice(96),
  }
  const channel = channelIdentifier(locator, receiverCode)
  const sid = sessionIdentifier(nonce)
  const [Ya, Yb] = [m2.slice(64, 96), m3.slice(0, 32)]
  const scalar = sampleScalar(fromHex(receiver.scalarBytes))
  const exchange = { channel, sid, Ya, ADa: associateSender(senderPart), Yb, ADb: associateReceiver(receiverPart) }
  return { exchange, scalar, g: generator(secret, channel, sid) }
}

describe.each(handshakeVectors)('the known answer "$name"', (vector) => {
  const { derived, stream } = vector
  const run = play(vector)

  it('has every message, byte by byte', () => {
    expect(toHex(run.publicKey)).toBe(vector.m1.publicKey)
    expect(toHex(run.m1)).toBe(vector.m1.frame)
    expect(toHex(run.m2)).toBe(vector.m2)
    expect(toHex(run.m3)).toBe(vector.m3)
    expect(toHex(run.m4)).toBe(vector.m4)
    expect([run.m1, run.m2, run.m3, run.m4].map((m) => m.length)).toEqual([1248, 1184, 64, 64])
  })

  it('has the intermediate session key and the transcript hash', () => {
    const { exchange, scalar, g } = exchangeOf(vector)
    const { sid, Ya, ADa, Yb, ADb } = exchange
    expect(multiply(scalar, g)).toEqual(Yb)
    const isk = intermediateSessionKey(sid, multiply(scalar, Ya), transcript(Ya, ADa, Yb, ADb))
    expect(toHex(isk)).toBe(derived.isk)
    expect(toHex(hashTranscript(exchange))).toBe(derived.transcriptHash)
  })

  it('has the traffic secrets, each side sending what the other receives', () => {
    expect(toHex(run.seenBySender.sendKey)).toBe(derived.trafficSenderToReceiver)
    expect(toHex(run.seenBySender.receiveKey)).toBe(derived.trafficReceiverToSender)
    expect(run.seenByReceiver.sendKey).toEqual(run.seenBySender.receiveKey)
    expect(run.seenByReceiver.receiveKey).toEqual(run.seenBySender.sendKey)
  })

  it('has the match number and the fingerprint on both sides', () => {
    const fingerprint = encodeCrockford(fromHex(derived.fingerprint))
    for (const peer of [run.seenBySender, run.seenByReceiver]) {
      expect(peer.matchNumber).toBe(derived.matchNumber)
      expect(peer.fingerprint).toBe(fingerprint)
    }
  })

  it('has the message keys of the stream', () => {
    const { sendKey, receiveKey } = run.seenBySender
    expect(toHex(messageKey(sendKey, 0))).toBe(stream.senderMessage0Key)
    expect(toHex(messageKey(sendKey, 1))).toBe(stream.senderMessage1Key)
    expect(toHex(messageKey(receiveKey, 0))).toBe(stream.receiverMessage0Key)
  })

  it('has the sealed empty message', () => {
    const frame = new StreamSealer(fromHex(stream.senderMessage0Key)).sealFrame(new Uint8Array(), true)
    expect([toHex(frame.subarray(1))]).toEqual(stream.emptyMessage0)
    expect(frame[0]).toBe(1)
  })

  it('has the sealed message of two chunks, in one frame or in two', () => {
    const plaintext = new Uint8Array(CHUNK_BYTES + 3).fill(0x61, 0, CHUNK_BYTES).fill(0x62, CHUNK_BYTES)
    const { sha512OfChunk0, chunk1 } = stream.twoChunkMessage1
    const key = fromHex(stream.senderMessage1Key)
    const frame = new StreamSealer(key).sealFrame(plaintext, true)
    expect(toHex(sha512(frame.subarray(1, 1 + CHUNK_BYTES + 16)))).toBe(sha512OfChunk0)
    expect(toHex(frame.subarray(1 + CHUNK_BYTES + 16))).toBe(chunk1)
    const inTwo = new StreamSealer(key)
    expect(toHex(sha512(inTwo.sealFrame(plaintext.subarray(0, CHUNK_BYTES), false).subarray(1)))).toBe(sha512OfChunk0)
    expect(toHex(inTwo.sealFrame(plaintext.subarray(CHUNK_BYTES), true))).toBe(`01${chunk1}`)
  })
})

describe('the match number', () => {
  it('has six digits, zeros in front included, and differs from nonce to nonce', () => {
    const shared = { isk: new Uint8Array(64), dh: new Uint8Array(32), kem: new Uint8Array(32) }
    const keys = new KeySchedule(new Secrets(), shared, new Uint8Array(64))
    const random = seededRandom(4)
    const numbers = Array.from({ length: 300 }, () => keys.matchNumber(random(32)))
    expect(numbers.filter((number) => !/^\d{6}$/.test(number))).toEqual([])
    expect(numbers.some((number) => number.startsWith('0'))).toBe(true)
    expect(new Set(numbers).size).toBe(300)
  })
})

describe('formatMatchNumber', () => {
  it('groups the digits as people read them', () => {
    expect(formatMatchNumber('482913')).toBe('482 913')
    expect(formatMatchNumber('000042')).toBe('000 042')
  })
})

describe('profiles other than the default', () => {
  const [vector] = handshakeVectors
  const run = play(vector, { sender: fromHex('0161'), receiver: fromHex('0162') })

  it('have the known answers of PROTOCOL.md, section 11', () => {
    expect(toHex(run.m1.slice(32, 64))).toBe('402b6ecab3a0e89dfe08ad1f6d2dd06875f5bc675069ab658fbcd82900fa0d82')
    expect(toHex(run.m3.slice(32))).toBe('5e83f052480a5e1fccd465f9e7586dc8187fde1899e193a4f909c7a32771c222')
    expect(toHex(run.m4.slice(32))).toBe('d2fc166870ac20c2de3cf06fbcaf83b54680b7a75c8fadba38132cf6c4dbab00')
    expect(run.seenBySender.matchNumber).toBe('649149')
  })
})
