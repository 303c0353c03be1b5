import { chacha20poly1305 } from '@noble/ciphers/chacha.js'

/** Bytes by which a sealed chunk is longer than its plaintext. */
export const TAG_BYTES = 16

/**
 * ChaCha20-Poly1305 (RFC 8439) without associated data; 32-byte key, 12-byte nonce. It writes into a slice of a larger
 * buffer, because a frame is several chunks and a gigabyte should be allocated once.
 */
export interface Aead {
  /** Writes ciphertext and tag to `output`, which is exactly TAG_BYTES longer than `plaintext`. */
  seal(key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, output: Uint8Array): void
  /** Writes to `output`, which is exactly TAG_BYTES shorter than `sealed`. @throws Error, `output` untouched, if forged */
  open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, output: Uint8Array): void
  /** Reads all of its input before it writes, so that `output` may lie over it. */
  readonly mayOverlap?: true
}

/** Runs everywhere; about 120 MB/s in V8. */
export const nobleAead: Aead = {
  seal(key, nonce, plaintext, output) {
    chacha20poly1305(key, nonce).encrypt(plaintext, output)
  },
  open(key, nonce, sealed, output) {
    chacha20poly1305(key, nonce).decrypt(sealed, output)
  },
}

/** The part of `node:crypto` used here; this layer compiles without Node's types. */
interface NodeCrypto {
  createCipheriv(name: typeof ALGORITHM, key: Uint8Array, nonce: Uint8Array, options: typeof OPTIONS): NodeCipher
  createDecipheriv(name: typeof ALGORITHM, key: Uint8Array, nonce: Uint8Array, options: typeof OPTIONS): NodeDecipher
}
interface NodeCipher {
  update(data: Uint8Array): Uint8Array
  final(): Uint8Array
  getAuthTag(): Uint8Array
}
interface NodeDecipher extends Omit<NodeCipher, 'getAuthTag'> {
  setAuthTag(tag: Uint8Array): void
}

const ALGORITHM = 'chacha20-poly1305'
const OPTIONS = { authTagLength: TAG_BYTES }

/** OpenSSL through a given `node:crypto`; ten times noble's speed. The one copy per chunk is Node's API, not ours. */
export function nodeAead(crypto: NodeCrypto): Aead {
  return {
    mayOverlap: true,
    seal(key, nonce, plaintext, output) {
      const cipher = crypto.createCipheriv(ALGORITHM, key, nonce, OPTIONS)
      output.set(cipher.update(plaintext))
      cipher.final()
      output.set(cipher.getAuthTag(), plaintext.length)
    },
    open(key, nonce, sealed, output) {
      const decipher = crypto.createDecipheriv(ALGORITHM, key, nonce, OPTIONS)
      decipher.setAuthTag(sealed.subarray(output.length))
      const plaintext = decipher.update(sealed.subarray(0, output.length))
      decipher.final() // throws on a wrong tag: nothing reaches the output before it
      output.set(plaintext)
    },
  }
}

/** The same cipher where it runs beside this thread. Resolves with the work for one key, which it copies. */
export type AsyncAead = (key: Uint8Array) => Promise<AsyncCipher>

export interface AsyncCipher {
  /** Resolves with ciphertext and tag. The plaintext may change as soon as it returns. */
  seal(nonce: Uint8Array, plaintext: Uint8Array): Promise<Uint8Array>
  /** Resolves with the plaintext, and rejects if `sealed` is forged. That may change as soon as it returns. */
  open(nonce: Uint8Array, sealed: Uint8Array): Promise<Uint8Array>
}

/** The part of WebCrypto used here; this layer compiles without the types of browsers. */
interface Subtle<Key> {
  importKey(
    format: string,
    key: Uint8Array,
    algorithm: WebAlgorithm,
    extractable: false,
    usages: string[],
  ): Promise<Key>
  encrypt(algorithm: WebAlgorithm, key: Key, data: Uint8Array): Promise<ArrayBuffer>
  decrypt(algorithm: WebAlgorithm, key: Key, data: Uint8Array): Promise<ArrayBuffer>
}
interface WebAlgorithm {
  readonly name: string
  readonly iv?: Uint8Array
}

/** WebCrypto's, of browsers that have it: W3C "Modern Algorithms". Several times noble's speed in a page. */
export function webAead<Key>(subtle: Subtle<Key>): AsyncAead {
  const name = 'ChaCha20-Poly1305'
  return async (bytes) => {
    const key = await subtle.importKey('raw-secret', bytes, { name }, false, ['encrypt', 'decrypt'])
    return {
      seal: async (iv, plaintext) => new Uint8Array(await subtle.encrypt({ name, iv }, key, plaintext)),
      open: async (iv, sealed) => new Uint8Array(await subtle.decrypt({ name, iv }, key, sealed)),
    }
  }
}

let fastest: Aead | undefined
let besides: Promise<AsyncAead | undefined> | undefined

/** Node's cipher where there is one that agrees with noble's, else noble's. The bytes are the same. */
export function defaultAead(): Aead {
  fastest ??= findNodeAead() ?? nobleAead
  return fastest
}

/** WebCrypto's cipher where `defaultAead` is noble's and there is one that agrees with it. */
export function asyncAead(): Promise<AsyncAead | undefined> {
  besides ??= findWebAead()
  return besides
}

async function findWebAead(): Promise<AsyncAead | undefined> {
  const { subtle } = (globalThis as { crypto?: { subtle?: Subtle<unknown> } }).crypto ?? {}
  if (defaultAead() !== nobleAead || subtle === undefined) return undefined
  const candidate = webAead(subtle)
  return (await agreesBesides(candidate)) ? candidate : undefined
}

interface NodeGlobal {
  readonly process?: { readonly getBuiltinModule?: (id: string) => NodeCrypto | undefined }
}

/** No import of `node:crypto` at the top, so that bundlers and browsers never see it. */
function findNodeAead(): Aead | undefined {
  const crypto = (globalThis as NodeGlobal).process?.getBuiltinModule?.('node:crypto')
  if (crypto === undefined) return undefined
  const candidate = nodeAead(crypto)
  return agreesWithNoble(candidate) ? candidate : undefined
}

/** Reports whether the cipher seals and opens as noble's does, and refuses a forgery. */
async function agreesBesides(candidate: AsyncAead): Promise<boolean> {
  const { key, nonce, plaintext, sealed } = example()
  try {
    const cipher = await candidate(key)
    const [mine, opened] = [await cipher.seal(nonce, plaintext), await cipher.open(nonce, sealed)]
    const isForgeryRefused = cipher.open(nonce, new Uint8Array(sealed.length)).then(
      () => false,
      () => true,
    )
    return mine.join() === sealed.join() && opened.join() === plaintext.join() && (await isForgeryRefused)
  } catch {
    return false
  }
}

/** Something that noble has sealed. */
function example() {
  const [key, nonce, plaintext] = [new Uint8Array(32), new Uint8Array(12), Uint8Array.of(1, 2, 3)]
  const sealed = new Uint8Array(plaintext.length + TAG_BYTES)
  nobleAead.seal(key, nonce, plaintext, sealed)
  return { key, nonce, plaintext, sealed }
}

/** Deno, Bun and Electron have a `node:crypto` of their own: it may lack this cipher, or know it only by name. */
function agreesWithNoble(candidate: Aead): boolean {
  const { key, nonce, plaintext, sealed: expected } = example()
  const sealed = new Uint8Array(expected.length)
  const opened = new Uint8Array(plaintext.length)
  try {
    candidate.seal(key, nonce, plaintext, sealed)
    candidate.open(key, nonce, expected, opened)
  } catch {
    return false
  }
  return sealed.join() === expected.join() && opened.join() === plaintext.join() && refusesForgery(candidate)
}

function refusesForgery(candidate: Aead): boolean {
  try {
    candidate.open(new Uint8Array(32), new Uint8Array(12), new Uint8Array(TAG_BYTES + 3), new Uint8Array(3))
    return false
  } catch {
    return true
  }
}
