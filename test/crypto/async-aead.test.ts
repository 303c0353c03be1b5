import { createCipheriv, createDecipheriv } from 'node:crypto'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { nobleAead, webAead } from '../../src/crypto/aead.ts'
import { CHUNK_BYTES, StreamError, StreamOpener, StreamSealer, TAG_BYTES } from '../../src/crypto/stream.ts'
import { key, plaintextOf } from './sealed.ts'
import { flipBit } from './support.ts'

const OPTIONS = { authTagLength: TAG_BYTES }

/** WebCrypto as browsers have it: this Node has no such cipher there. */
const subtle = {
  importKey: async (format: string, bytes: Uint8Array, { name }: { name: string }) => {
    if (format !== 'raw-secret' || name !== 'ChaCha20-Poly1305') throw new DOMException('', 'NotSupportedError')
    return bytes.slice()
  },
  encrypt: async ({ iv = new Uint8Array() }: { iv?: Uint8Array }, secret: Uint8Array, data: Uint8Array) => {
    const cipher = createCipheriv('chacha20-poly1305', secret, iv, OPTIONS)
    const sealed = Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
    return new Uint8Array(sealed).buffer
  },
  decrypt: async ({ iv = new Uint8Array() }: { iv?: Uint8Array }, secret: Uint8Array, data: Uint8Array) => {
    const cipher = createDecipheriv('chacha20-poly1305', secret, iv, OPTIONS)
    cipher.setAuthTag(data.subarray(data.length - TAG_BYTES))
    return new Uint8Array(Buffer.concat([cipher.update(data.subarray(0, -TAG_BYTES)), cipher.final()])).buffer
  },
}
const web = webAead(subtle)

describe('the cipher beside this thread', () => {
  it.each([1, CHUNK_BYTES, CHUNK_BYTES + 1, 4 * CHUNK_BYTES])(
    'seals %i bytes into the same frame, and opens it',
    async (length) => {
      const plaintext = plaintextOf(length)
      const frame = new StreamSealer(key, nobleAead).sealFrame(plaintext, true, 9)
      const sealed = await new StreamSealer(key).sealFrameBy(web, plaintext, true, 9)
      expect(Buffer.from(sealed).equals(frame)).toBe(true)
      const opener = new StreamOpener(key)
      const opened = await opener.openFrameBy(web, frame.subarray(9))
      expect(Buffer.from(opened.plaintext).equals(plaintext)).toBe(true)
      expect([opened.last, opener.finished]).toEqual([true, true])
    },
  )

  it('goes on from frame to frame, and takes turns with the other', async () => {
    const [sealer, opener] = [new StreamSealer(key), new StreamOpener(key)]
    for (const n of [0, 1, 2, 3]) {
      const frame = await sealer.sealFrameBy(web, plaintextOf(2 * CHUNK_BYTES), n === 3)
      const { last } = n % 2 === 0 ? opener.openFrame(frame) : await opener.openFrameBy(web, frame)
      expect(last).toBe(n === 3)
    }
  })

  it('refuses a forgery of any chunk, and is over', async () => {
    const frame = new StreamSealer(key).sealFrame(plaintextOf(3 * CHUNK_BYTES), true)
    for (const at of [9, 8 * (CHUNK_BYTES + 20), 8 * frame.length - 1]) {
      const attacker = flipBit(frame, at)
      const opener = new StreamOpener(key)
      await expect(opener.openFrameBy(web, attacker)).rejects.toBeInstanceOf(StreamError)
      await expect(opener.openFrameBy(web, frame)).rejects.toBeInstanceOf(StreamError)
    }
  })

  it('gives nothing that was under way when the message was wiped', async () => {
    const [sealer, opener] = [new StreamSealer(key), new StreamOpener(key)]
    const frame = new StreamSealer(key).sealFrame(plaintextOf(9), true)
    const work = [sealer.sealFrameBy(web, plaintextOf(9), true), opener.openFrameBy(web, frame)]
    sealer.wipe()
    opener.wipe()
    for (const each of work) await expect(each).rejects.toBeInstanceOf(StreamError)
    expect(opener.finished).toBe(false)
  })
})

describe('asyncAead', () => {
  afterEach(() => {
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
    vi.resetModules()
  })

  /** A browser with this in place of its WebCrypto: aead.ts looks once, so it is loaded anew. */
  async function isFoundWith(changed: object | undefined): Promise<boolean> {
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(() => undefined)
    vi.stubGlobal('crypto', { subtle: changed && { ...subtle, ...changed } })
    vi.resetModules()
    const fresh = await import('../../src/crypto/aead.ts')
    return (await fresh.asyncAead()) !== undefined
  }

  it('is that of a browser that has it', async () => {
    expect(await isFoundWith({})).toBe(true)
  })

  it.each<[string, object | undefined]>([
    ['there is no WebCrypto, as in a page without https', undefined],
    ['it lacks the cipher', { importKey: () => Promise.reject(new DOMException('', 'NotSupportedError')) }],
    ['it throws at once', { importKey: () => JSON.parse('') }],
    ['it gives other bytes', { encrypt: async () => new ArrayBuffer(3 + TAG_BYTES) }],
    ['it reads other bytes', { decrypt: async () => new ArrayBuffer(3) }],
    ['it does not look at the tag', { decrypt: async () => Uint8Array.of(1, 2, 3).buffer }],
  ])('is none where %s', async (_, changed) => {
    expect(await isFoundWith(changed)).toBe(false)
  })

  it('is none where Node has a cipher that is faster', async () => {
    vi.stubGlobal('crypto', { subtle })
    vi.resetModules()
    expect(await (await import('../../src/crypto/aead.ts')).asyncAead()).toBeUndefined()
  })
})
