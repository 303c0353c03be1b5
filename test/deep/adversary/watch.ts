import { defaultAead } from '../../../src/crypto/aead.ts'
import { ReceiverHandshake, SenderHandshake, type VerifiedPeer } from '../../../src/crypto/handshake.ts'
import { Secrets } from '../../../src/crypto/secrets.ts'
import { messageKey } from '../../../src/crypto/stream.ts'

/**
 * Watches all secrets for being overwritten: the arrays themselves, from their birth. The
 * classes are patched for that, which works under vitest and tsx alike.
 */

interface Secret {
  readonly what: string
  readonly live: Uint8Array
  /** The bytes as they were, to search in all that the relay heard. */
  readonly copy: Uint8Array
}

const watched = new Map<Uint8Array, Secret>()
/** Peers that verified, in order: whose keys a relay would want. */
export const peers: VerifiedPeer[] = []

export function watch(live: Uint8Array, what: string): Uint8Array {
  if (!watched.has(live)) watched.set(live, { what, live, copy: live.slice() })
  return live
}

/** Every secret watched since the last `forget`. */
export const secrets = (): readonly Secret[] => [...watched.values()]

/** Names of secrets that can still be read. Empty when everything was wiped. */
export const unwiped = (what = ''): string[] =>
  secrets()
    .filter((secret) => secret.what.startsWith(what) && secret.live.some((byte) => byte !== 0))
    .map((secret) => secret.what)

/** Beginning and end of each sealed chunk, to search in all that the relay heard. */
export const plaintexts: Uint8Array[] = []
const WINDOW_BYTES = 32

/** Chunks sealed under a key that was wiped before, or twice under one key and nonce. */
export const misuses: string[] = []
const sealed = new Set<string>()
const erased = [0, 1, 2, 3].map((index) => messageKey(new Uint8Array(64), index).join())

function noteSeal(key: Uint8Array, nonce: Uint8Array): void {
  const under = key.join()
  if (erased.includes(under) || key.every((byte) => byte === 0)) misuses.push('sealed under an erased key')
  const both = `${under} ${nonce.join()}`
  if (sealed.has(both)) misuses.push('a nonce used twice')
  sealed.add(both)
}

export function forget(): void {
  watched.clear()
  sealed.clear()
  misuses.length = 0
  plaintexts.length = 0
  peers.length = 0
}

function adopt(peer: VerifiedPeer, what: string): void {
  peers.push(peer)
  watch(peer.sendKey, `${what}: traffic secret`)
  watch(peer.receiveKey, `${what}: traffic secret`)
}

const { hold } = Secrets.prototype
Secrets.prototype.hold = function (bytes) {
  return watch(hold.call(this, bytes), 'a secret of a run')
}

const { answerM3 } = SenderHandshake.prototype
SenderHandshake.prototype.answerM3 = function (m3) {
  const answer = answerM3.call(this, m3)
  adopt(answer.peer, 'sender')
  return answer
}

const { finish } = ReceiverHandshake.prototype
ReceiverHandshake.prototype.finish = function (m4) {
  const peer = finish.call(this, m4)
  adopt(peer, 'receiver')
  return peer
}

const aead = defaultAead()
const { seal, open } = aead
aead.seal = (key, nonce, plaintext, output) => {
  noteSeal(key, nonce)
  plaintexts.push(plaintext.slice(0, WINDOW_BYTES), plaintext.slice(-WINDOW_BYTES))
  seal(watch(key, 'message key'), nonce, plaintext, output)
}
aead.open = (key, ...rest) => open(watch(key, 'message key'), ...rest)
