import { createCipheriv, createDecipheriv, createECDH, createHmac, hkdfSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { attachBoth, createSession, Receiver, Sender, tryToJoin, type View } from './client.ts'
import { ack, data } from './device.ts'
import { expectRefused } from './documented.ts'
import type { Relay } from './relay.ts'

const PROFILE = Buffer.from('806c756d656e31', 'hex')
const profile = PROFILE.toString('base64url')
const TAG_BYTES = 16

/** PROTOCOL.md, section 14: the example of an app with its own cryptography, played with P-256 and AES-256-GCM. */
export function ownCrypto(relay: Relay): void {
  test('two apps with their own cryptography pair and talk as section 14 says', async () => {
    const secret = randomBytes(16)
    const senderCode = randomBytes(16).toString('base64url')
    const created = await createSession(relay, { senderCode, profile })
    expect(created.body).toMatchObject({ features: [], limits: { maxReceivers: 1 } })
    const sender = new Sender(relay, senderCode, created.body as never)

    const receiverKey = createECDH('prime256v1')
    const publicKey = receiverKey.generateKeys('base64url', 'compressed')
    const receiverCode = randomBytes(12).toString('base64url')
    const joined = await tryToJoin(relay, senderCode, { receiverCode, publicKey, profile })
    expect(joined.body).toMatchObject({ features: [], profile })
    const receiver = new Receiver(relay.forReceivers ?? relay, { receiverCode, publicKey }, joined.body as never)
    const [S, R] = await attachBoth(sender, receiver)

    const info = (row: Partial<View['receivers'][number]>) =>
      Buffer.concat([
        Buffer.from('lumen\0'),
        Buffer.from(sender.sessionId, 'base64url'),
        Buffer.from(receiverCode),
        PROFILE,
        Buffer.from(row.profile ?? '', 'base64url'),
        Buffer.from(row.publicKey ?? '', 'base64url'),
      ])
    const tag = (...parts: (string | Buffer)[]) =>
      createHmac('sha256', secret)
        .update(Buffer.concat(parts.map((part) => Buffer.from(part))))
        .digest()
    const ownInfo = info({ publicKey, profile })

    R.send(data(1, 1, tag('receiver', ownInfo)))
    const seen = info((await sender.view()).receivers[0])
    expect((await S.nextData()).bytes.subarray(8)).toEqual(tag('receiver', seen))

    const senderKey = createECDH('prime256v1')
    senderKey.generateKeys()
    const senderPublicKey = senderKey.getPublicKey(null, 'compressed')
    S.send(ack(1, 1), data(1, 1, Buffer.concat([senderPublicKey, tag('sender', seen, senderPublicKey)])))
    const answer = (await R.nextData()).bytes.subarray(8)
    const [peerKey, peerTag] = [answer.subarray(0, 33), answer.subarray(33)]
    expect(peerTag).toEqual(tag('sender', ownInfo, peerKey))
    await sender.approve(receiver)

    const keysOf = (shared: Buffer, known: Buffer, key: Buffer) => {
      const keys = Buffer.from(hkdfSync('sha256', shared, secret, Buffer.concat([known, key]), 64))
      return [keys.subarray(0, 32), keys.subarray(32)]
    }
    const [s2r, r2s] = keysOf(senderKey.computeSecret(Buffer.from(publicKey, 'base64url')), seen, senderPublicKey)
    expect(keysOf(receiverKey.computeSecret(peerKey), ownInfo, peerKey)).toEqual([s2r, r2s])
    R.send(ack(1, 1))
    S.send(seal(s2r, 2, 'the photos'))
    expect(open(s2r, await R.nextData())).toBe('the photos')
    R.send(ack(1, 2), seal(r2s, 2, 'all 412 photos are saved'))
    expect(open(r2s, await S.nextData())).toBe('all 412 photos are saved')
    await receiver.leave()
    await sender.close()
  })

  test('a key of more than 128 bytes and a profile of more than 64 are refused, whatever the suite', async () => {
    const sender = new Sender(relay, '', (await createSession(relay, { profile })).body as never)
    for (const wrong of [{ publicKey: bytes(129) }, { profile: bytes(65) }, { profile: '' }])
      await expectRefused('invalid_request', [sender], () => tryToJoin(relay, 'any-code', wrong))
    for (const wrong of [bytes(65), ''])
      await expectRefused('invalid_request', [sender], () => createSession(relay, { profile: wrong }))
  })
}

function bytes(length: number): string {
  return Buffer.alloc(length, 0x80).toString('base64url')
}

function nonceOf(seq: number): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(seq, 8)
  return nonce
}

/** A data frame of channel 1. */
function seal(key: Buffer, seq: number, text: string): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(seq))
  return data(1, seq, Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]))
}

function open(key: Buffer, { seq, bytes: frame }: { seq: number; bytes: Buffer }): string {
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(seq))
  decipher.setAuthTag(frame.subarray(-TAG_BYTES))
  return Buffer.concat([decipher.update(frame.subarray(8, -TAG_BYTES)), decipher.final()]).toString()
}
