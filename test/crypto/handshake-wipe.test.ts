/** Every array that held a secret is watched from its birth: the libraries below the handshake are wrapped for that. */
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { ReceiverHandshake, SenderHandshake, VerifiedPeer } from '../../src/crypto/handshake.ts'
import { m1, m2, m3, m4, newReceiver, newSender, sessionId } from './runs.ts'
import { thrownBy } from './support.ts'

const { secrets, watch } = vi.hoisted(() => {
  const secrets = new Map<Uint8Array, string>()
  const watch = (bytes: Uint8Array, name: string): Uint8Array => {
    secrets.set(bytes, name)
    return bytes
  }
  return { secrets, watch }
})

vi.mock('@noble/hashes/hkdf.js', async (original) => {
  const { expand, extract } = await original<typeof import('@noble/hashes/hkdf.js')>()
  return {
    extract: (...args: Parameters<typeof extract>) => watch(extract(...args), 'prk'),
    expand: (...args: Parameters<typeof expand>) => watch(expand(...args), `expanded to ${args[3]}`),
  }
})

vi.mock('@noble/hashes/utils.js', async (original) => {
  const utils = await original<typeof import('@noble/hashes/utils.js')>()
  const concatBytes = (...parts: Uint8Array[]) => {
    const joined = utils.concatBytes(...parts)
    return secrets.get(parts[0]) === 'isk' ? watch(joined, 'isk, dh and kem') : joined
  }
  return { ...utils, concatBytes }
})

vi.mock('../../src/crypto/cpace.ts', async (original) => {
  const cpace = await original<typeof import('../../src/crypto/cpace.ts')>()
  return {
    ...cpace,
    generator: (...args: Parameters<typeof cpace.generator>) => watch(cpace.generator(...args), 'g'),
    multiply: (...args: Parameters<typeof cpace.multiply>) => watch(cpace.multiply(...args), 'K, Ya or Yb'),
    sampleScalar: (bytes: Uint8Array) => watch(cpace.sampleScalar(bytes), 'scalar'),
    intermediateSessionKey: (...args: Parameters<typeof cpace.intermediateSessionKey>) =>
      watch(cpace.intermediateSessionKey(...args), 'isk'),
  }
})

vi.mock('../../src/crypto/secrets.ts', async (original) => {
  const { Secrets } = await original<typeof import('../../src/crypto/secrets.ts')>()
  class WatchedSecrets extends Secrets {
    override draw(random: (length: number) => Uint8Array, length: number): Uint8Array {
      return super.draw((n) => watch(random(n), 'drawn'), length)
    }
  }
  return { Secrets: WatchedSecrets }
})

vi.mock('@noble/post-quantum/ml-kem.js', async (original) => {
  const { ml_kem768 } = await original<typeof import('@noble/post-quantum/ml-kem.js')>()
  return {
    ml_kem768: {
      keygen: (seed: Uint8Array) => {
        const keys = ml_kem768.keygen(seed)
        watch(keys.secretKey, 'ML-KEM secret key')
        return keys
      },
      encapsulate: (theirs: Uint8Array, randomness: Uint8Array) => {
        const result = ml_kem768.encapsulate(theirs, randomness)
        watch(result.sharedSecret, 'kem')
        return result
      },
      decapsulate: (...args: Parameters<typeof ml_kem768.decapsulate>) => watch(ml_kem768.decapsulate(...args), 'kem'),
    },
  }
})

vi.mock('tweetnacl', async (original) => {
  const { default: nacl } = await original<{ default: typeof import('tweetnacl') }>()
  const scalarMult = (secretKey: Uint8Array, theirs: Uint8Array) => watch(nacl.scalarMult(secretKey, theirs), 'dh')
  return { default: { ...nacl, scalarMult: Object.assign(scalarMult, { base: nacl.scalarMult.base }) } }
})

beforeEach(() => secrets.clear())

/** Values that travel in the clear, or are shown: Ya, Yb, the fingerprint and the bytes behind the match number. */
const isPublic = (bytes: Uint8Array, name: string) =>
  name === 'expanded to 20' ||
  name === 'expanded to 8' ||
  [m2, m3].some((message) => Buffer.from(message).includes(Buffer.from(bytes)))

/** The names of the watched secrets that are not all zero, without what now belongs to `peer`. */
function secretsLeft(peer?: VerifiedPeer): string[] {
  return [...secrets]
    .filter(([bytes]) => !peer || ![peer.sendKey, peer.receiveKey, peer.resumeSecret].includes(bytes))
    .filter(([bytes, name]) => bytes.some((byte) => byte !== 0) && !isPublic(bytes, name))
    .map(([, name]) => name)
}

const senderSteps: ((sender: SenderHandshake) => unknown)[] = [(s) => s.answerM1(m1), (s) => s.answerM3(m3)]
const receiverSteps: ((receiver: ReceiverHandshake) => unknown)[] = [
  (r) => r.start(sessionId),
  (r) => r.answerM2(m2),
  (r) => r.finish(m4),
]

describe('a run that waits', () => {
  it.each([1])('holds secrets at the sender, and none once it is wiped, after %i step', (steps) => {
    const sender = newSender()
    for (const step of senderSteps.slice(0, steps)) step(sender)
    expect(secretsLeft()).toEqual(expect.arrayContaining(['drawn', 'scalar', 'g', 'kem']))
    sender.wipe()
    expect(secretsLeft()).toEqual([])
  })

  it.each([0, 1, 2])('holds secrets at the receiver, and none once it is wiped, after %i steps', (steps) => {
    const receiver = newReceiver()
    for (const step of receiverSteps.slice(0, steps)) step(receiver)
    const expected = [['drawn'], ['scalar', 'g', 'ML-KEM secret key'], ['K, Ya or Yb', 'isk', 'dh', 'kem', 'prk']][
      steps
    ]
    expect(secretsLeft()).toEqual(expect.arrayContaining(expected))
    receiver.wipe()
    expect(secretsLeft()).toEqual([])
  })
})

describe('a run that failed', () => {
  it('holds no secrets, whatever failed', () => {
    const attacker = { m1: m1.slice().fill(255, 64), m3: m3.slice().fill(0, 32), m4: m4.slice().fill(0, 32) }
    const failures: (() => unknown)[] = [
      () => newSender().answerM1(attacker.m1),
      () => newSender().answerM3(m3),
      () => runOf(newSender(), senderSteps.slice(0, 1)).answerM3(attacker.m3),
      () => runOf(newSender(), senderSteps.slice(0, 1)).answerM1(m1),
      () => newReceiver().start('not a session id'),
      () => runOf(newReceiver(), receiverSteps.slice(0, 1)).answerM2(m2.slice().fill(0, 64, 96)),
      () => runOf(newReceiver(), receiverSteps.slice(0, 1)).answerM2(m2.slice().fill(0, 0, 32)),
      () => runOf(newReceiver(), receiverSteps.slice(0, 2)).finish(attacker.m4),
      () => runOf(newReceiver(), receiverSteps.slice(0, 2)).answerM2(m2),
    ]
    for (const fail of failures) {
      expect(thrownBy(fail)).toHaveProperty('name', 'HandshakeError')
      expect(secretsLeft()).toEqual([])
    }
  })
})

function runOf<Run>(run: Run, steps: readonly ((run: Run) => unknown)[]): Run {
  for (const step of steps) step(run)
  return run
}

describe('a run that succeeded', () => {
  it('leaves the sender nothing but the keys of the peer, which a later wipe spares', () => {
    const sender = runOf(newSender(), senderSteps.slice(0, 1))
    const { peer } = sender.answerM3(m3)
    expect(secretsLeft(peer)).toEqual([])
    sender.wipe()
    expect([peer.sendKey, peer.receiveKey, peer.resumeSecret].every((key) => key.some((byte) => byte !== 0))).toBe(true)
  })

  it('leaves the receiver nothing but the keys of the peer, which a later wipe spares', () => {
    const receiver = runOf(newReceiver(), receiverSteps.slice(0, 2))
    const peer = receiver.finish(m4)
    expect(secretsLeft(peer)).toEqual([])
    receiver.wipe()
    expect([peer.sendKey, peer.receiveKey, peer.resumeSecret].every((key) => key.some((byte) => byte !== 0))).toBe(true)
  })
})

describe('a run', () => {
  it('shows no secret to whoever prints it', () => {
    const runs = [runOf(newSender(), senderSteps.slice(0, 1)), runOf(newReceiver(), receiverSteps.slice(0, 1))]
    expect(runs.map((run) => Object.keys(run))).toEqual([[], ['publicKey']])
  })
})
