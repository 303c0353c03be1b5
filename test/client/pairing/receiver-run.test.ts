import { expect, test } from 'vitest'
import { Receiver } from '../../../src/client/index.ts'
import { SenderHandshake } from '../../../src/crypto/handshake.ts'
import { generatePairingCode } from '../../../src/crypto/pairing-code.ts'
import { ciphertextOf } from '../../../src/protocol/frame.ts'
import type { JoinRequest } from '../../../src/protocol/requests.ts'
import { decodeBase64Url } from '../../../src/protocol/text.ts'
import { settled } from '../fake-time.ts'
import { channelRow } from '../fake-web-socket.ts'
import { FakeWorld } from '../support.ts'

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
const SESSION_ID = 'A'.repeat(22)
const JOINED = {
  sessionId: SESSION_ID,
  token: `${'B'.repeat(42)}A`,
  channel: 1,
  expiresInMs: 900_000,
  limits: { windowBytes: 2_098_176, maxFrameBytes: 262_272, maxReceivers: 8, ttlSeconds: 900 },
}

/** A receiver whose relay plays the sender with a wrong secret, and lets go of it after m3, or before m2. */
async function guessedAt(letGo: 'before m2' | 'after m3') {
  const world = new FakeWorld()
  Object.assign(world.environment, { random })
  const joins: JoinRequest[] = []
  world.fetch = async (_, init) => {
    if (init.method !== 'POST') return new Response(null, { status: 204 })
    joins.push(JSON.parse(String(init.body)))
    return Response.json(JOINED, { status: 201 })
  }
  const code = generatePairingCode(random)
  const receiver = await Receiver.join({
    relay: 'https://relay.example',
    code: code.text,
    environment: world.environment,
  })
  const { socket } = world
  const [{ receiverCode, publicKey } = { receiverCode: '', publicKey: '' }] = joins
  const row = { receiverCode, channel: 1, publicKey } as const
  socket.open()
  socket.show({
    role: 'receiver',
    senderPresent: true,
    receivers: [{ ...row, state: 'pending' }],
    channels: [channelRow()],
  })
  await settled()
  const wrong = { ...code, secret: code.secret === '00000' ? '11111' : '00000' }
  const receiverPublicKey = decodeBase64Url(publicKey)
  const sender = new SenderHandshake({ code: wrong, sessionId: SESSION_ID, receiverCode, receiverPublicKey, random })
  if (letGo === 'after m3') {
    const [m1] = socket.frames
    if (!m1) throw new Error('no m1')
    socket.data(1, 1, sender.answerM1(ciphertextOf(m1)))
    await settled()
  }
  const sent = socket.frames.length
  socket.show({
    role: 'receiver',
    senderPresent: true,
    receivers: [{ ...row, publicKey: undefined, state: 'left' }],
    channels: [],
  })
  await settled()
  await world.time.advance(1_000)
  await settled()
  return { receiver, joins, sent }
}

test('a receiver that the relay lets go of after m3 does not join again: one pairing tests one guess', async () => {
  const { receiver, joins, sent } = await guessedAt('after m3')
  expect([sent, joins.length]).toEqual([2, 1])
  expect((await receiver.ended).code).toBe('session_lost')
})

test('a receiver that the relay lets go of before m2 joins again', async () => {
  const { receiver, joins, sent } = await guessedAt('before m2')
  expect([sent, joins.length]).toEqual([1, 2])
  await receiver.close()
})
