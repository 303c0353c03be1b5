import nacl from 'tweetnacl'
import { describe, expect, test } from 'vitest'
import { createSession, fresh32Bytes, freshCode, join, openSession, pair, tryToJoin, type View } from './client.ts'
import { data } from './device.ts'
import { expectRefused, stateOf } from './documented.ts'
import type { Relay } from './relay.ts'

/** PROTOCOL.md, section 2: one test for each of the ten steps. */
export function pairing(relay: Relay): void {
  describe('the ten steps of a pairing', () => {
    test('step 1: a sender registers a random code with a time-out', async () => {
      const answer = await createSession(relay, { ttlSeconds: 60, maxReceivers: 2 })
      expect(answer.status).toBe(201)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('set-cookie')).toBeNull()
      expect(answer.body).toEqual({
        sessionId: expect.stringMatching(/^[A-Za-z0-9_-]{21}[AQgw]$/),
        token: expect.stringMatching(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/),
        expiresInMs: 60_000,
        limits: {
          windowBytes: expect.any(Number),
          maxFrameBytes: expect.any(Number),
          maxReceivers: 2,
          ttlSeconds: 60,
        },
        features: [],
      })

      const { expiresInMs: _, ...state } = await (await openSession(relay)).view()
      expect(state).toEqual({
        type: 'session',
        version: expect.any(String),
        role: 'sender',
        state: 'open',
        joinable: true,
        receivers: [],
        channels: [],
      })
    })

    test('step 2: a code in use is refused, and its session stays as it is', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const again = () => createSession(relay, { senderCode: sender.senderCode })
      await expectRefused('code_in_use', [sender, receiver], again)
      await expectRefused('code_in_use', [sender, receiver], again)
      expect((await join(sender)).sessionId).toBe(sender.sessionId)
    })

    test('step 3: who enters a code reaches the session that registered it, and no other', async () => {
      const senderCode = freshCode()
      const lowerCase = await openSession(relay, { senderCode: `${senderCode}a` })
      const upperCase = await openSession(relay, { senderCode: `${senderCode}A` })
      const before = stateOf(await lowerCase.view())
      const answer = await tryToJoin(relay, `${senderCode}A`)
      expect(answer).toMatchObject({ status: 201, body: { sessionId: upperCase.sessionId, channel: 1 } })
      expect(stateOf(await lowerCase.view())).toEqual(before)
    })

    test('step 4: a receiver uploads its own code and public key, and the sender sees exactly these', async () => {
      const sender = await openSession(relay)
      const S = await sender.attach()
      const [receiverCode, publicKey] = [freshCode(), fresh32Bytes()]
      const answer = await tryToJoin(relay, sender.senderCode, {
        receiverCode,
        publicKey,
        profile: 'AQ',
        name: 'Pixel "7" ☎',
      })
      expect(answer.status).toBe(201)
      expect(answer.body).toEqual({
        sessionId: sender.sessionId,
        token: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
        channel: 1,
        expiresInMs: expect.any(Number),
        limits: sender.limits,
        features: [],
        profile: 'AQ',
      })
      const pushed = await S.nextView(({ receivers }) => receivers.length === 1)
      expect(pushed.receivers).toEqual([
        { receiverCode, channel: 1, state: 'pending', publicKey, profile: 'AQ', name: 'Pixel "7" ☎', present: false },
      ])
      expect(pushed.channels).toEqual([{ channel: 1, received: 0, acked: 0, window: 4_096 }])
      expect(stateOf(await sender.view())).toEqual(stateOf(pushed))
    })

    test('step 4: a join says the sender’s profile, the receiver’s row its own, and keys have 1 to 128 bytes', async () => {
      const profiles = [Buffer.alloc(1, 9), Buffer.alloc(64, 2)].map((bytes) => bytes.toString('base64url'))
      for (const [profile, bytes] of [
        [profiles[0], 1],
        [profiles[1], 128],
      ] as const) {
        const sender = await openSession(relay, { profile })
        const publicKey = Buffer.alloc(bytes, 7).toString('base64url')
        const answer = await tryToJoin(relay, sender.senderCode, { publicKey, profile: profiles[1] })
        expect(answer.body).toMatchObject({ profile, features: [] })
        expect((await sender.view()).receivers).toMatchObject([{ publicKey, profile: profiles[1] }])
      }
    })

    test('a session of a client that asks for no number takes one receiver', async () => {
      const { body } = await createSession(relay)
      expect(body).toMatchObject({ limits: { maxReceivers: 1 } })
    })

    test('step 5: an unknown sender code and a repeated receiver code are refused', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const { receiverCode } = receiver
      await expectRefused('session_not_found', [sender, receiver], () => tryToJoin(relay, freshCode()))
      await expectRefused('receiver_code_in_use', [sender, receiver], () =>
        tryToJoin(relay, sender.senderCode, { receiverCode }),
      )
      await receiver.leave()
      await expectRefused('receiver_code_in_use', [sender, receiver], () =>
        tryToJoin(relay, sender.senderCode, { receiverCode }),
      )
    })

    test('step 6: the sender sees who waits, and approves or denies each', async () => {
      const sender = await openSession(relay)
      const [wanted, unwanted, waiting] = [await join(sender), await join(sender), await join(sender)]
      await sender.approve(wanted)
      await sender.deny(unwanted)
      const { receivers } = await sender.view()
      expect(receivers).toEqual([
        expect.objectContaining({ channel: 1, state: 'approved', publicKey: wanted.publicKey }),
        { receiverCode: unwanted.receiverCode, channel: 2, state: 'denied', reason: 'rejected' },
        expect.objectContaining({ channel: 3, state: 'pending', publicKey: waiting.publicKey }),
      ])
      expect((await wanted.view()).receivers).toEqual([receivers[0]])
      expect((await unwanted.view()).receivers).toEqual([receivers[1]])
      expect((await waiting.view()).receivers).toEqual([receivers[2]])
    })

    test('step 7: further devices join under the same code, as many as the sender asked for', async () => {
      const sender = await openSession(relay, { maxReceivers: 2 })
      const [first, second, third] = [await join(sender), await join(sender), await join(sender)]
      expect([first.channel, second.channel, third.channel]).toEqual([1, 2, 3])
      expect(new Set([first.token, second.token, third.token, sender.token]).size).toBe(4)
      await sender.approve(first)
      expect((await sender.view()).joinable).toBe(true)
      await sender.approve(second)
      expect((await sender.view()).joinable).toBe(false)
      await expectRefused('session_full', [sender, first, second, third], () =>
        sender.decide(third.receiverCode, 'approved'),
      )
      await expectRefused('session_not_found', [sender], () => tryToJoin(relay, sender.senderCode))
    })

    test('step 8: the sender encrypts for each approved key, and only its owner decrypts', async () => {
      const sender = await openSession(relay)
      const S = await sender.attach()
      const devices = await Promise.all(
        [1, 2].map(async () => {
          const keys = nacl.box.keyPair()
          const publicKey = Buffer.from(keys.publicKey).toString('base64url')
          const receiver = await join(sender, { publicKey })
          return { keys, receiver, R: await receiver.attach() }
        }),
      )
      await sender.approve(...devices.map(({ receiver }) => receiver))
      const { receivers } = await S.nextView((view) => view.receivers.every(({ state }) => state === 'approved'))
      const mine = nacl.box.keyPair()
      const nonce = new Uint8Array(24)
      for (const { channel, publicKey } of receivers) {
        const theirs = Buffer.from(publicKey as string, 'base64url')
        const secret = Buffer.from(`for channel ${channel}`)
        S.send(data(channel, 1, nacl.box(secret, nonce, theirs, mine.secretKey)))
      }
      for (const { keys, receiver, R } of devices) {
        const { channel, bytes } = await R.nextData()
        expect(channel).toBe(receiver.channel)
        const opened = nacl.box.open(bytes.subarray(8), nonce, mine.publicKey, keys.secretKey)
        expect(Buffer.from(opened as Uint8Array).toString()).toBe(`for channel ${receiver.channel}`)
        expect(R.count('data')).toBe(1)
      }
    })

    test('step 9: a receiver that has everything cleans up by its own word, and the session completes', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'all of it'))
      await R.nextData()
      await receiver.leave()
      const row = { receiverCode: receiver.receiverCode, channel: 1, state: 'done' }
      const after = await S.nextView((view) => view.receivers[0].state === 'done')
      expect(after.receivers).toEqual([row])
      expect(after.channels).toEqual([])
      await receiver.leave()
      expect(stateOf(await sender.view())).toEqual(stateOf(after))
      await sender.close()
      expect(await sender.view()).toMatchObject({ state: 'closed', reason: 'completed', receivers: [row] })
    })

    test('step 10: all of it has one deadline, which nothing moves', async () => {
      const start = performance.now()
      const sender = await openSession(relay, { ttlSeconds: 30 })
      const asked = performance.now()
      const S = await sender.attach()
      const receiver = await join(sender)
      const R = await receiver.attach()
      await sender.approve(receiver)
      S.send(data(1, 1, 'x'))
      await R.nextData()
      // The deadline lies between these two, whoever asks.
      const [earliest, latest] = [start + 30_000, asked + 30_000]
      const seen = async (ask: () => Promise<{ expiresInMs: number }>) => {
        const before = performance.now()
        const { expiresInMs } = await ask()
        expect(before + expiresInMs).toBeLessThanOrEqual(latest + 1)
        expect(performance.now() + expiresInMs).toBeGreaterThanOrEqual(earliest - 1)
      }
      await seen(async () => sender.view())
      await seen(async () => receiver.view())
      await seen(async () => (await tryToJoin(relay, sender.senderCode)).body as View)
    })
  })
}
