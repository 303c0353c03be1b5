import { describe, expect, test } from 'vitest'
import { type Answer, call, fresh32Bytes, join, openSession, type Party, pair, type View } from './client.ts'
import { ack, data } from './device.ts'
import { expectClosed, expectProblem, expectRefused, stateOf } from './documented.ts'
import { hasSharedStore, isOverHttp, type Relay } from './relay.ts'

const OCTETS = { 'content-type': 'application/octet-stream' }

/** PROTOCOL.md, section 5.9: everything that a WebSocket does, in plain calls. */
export function polling(relay: Relay): void {
  /** A session with an approved receiver, in which both sides have attached over HTTP. */
  async function pairOverHttp() {
    const sender = await openSession(relay)
    const receiver = await join(sender)
    await sender.approve(receiver)
    await sender.attachOverHttp()
    await receiver.attachOverHttp()
    return { sender, receiver }
  }

  describe('without a WebSocket', () => {
    test('an attach answers with the view, in which a row says what can be fetched, and makes its role present', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      expect((await receiver.attachOverHttp()).receivers).toMatchObject([{ present: true }])
      const view = await sender.attachOverHttp()
      expect(view).toMatchObject({ role: 'sender', state: 'open', receivers: [{ channel: 1, present: true }] })
      expect(view.channels).toEqual([{ channel: 1, received: 0, acked: 0, window: 4_096, available: 0 }])
      expect(await receiver.view()).toMatchObject({ senderPresent: true })
      await receiver.put(1, 1, 'm1')
      expect((await sender.attachOverHttp()).channels).toMatchObject([{ available: 1 }])
    })

    test('frames go both ways, byte for byte, and acks come back', async () => {
      const { sender, receiver } = await pairOverHttp()
      for (const [from, to] of [
        [sender, receiver],
        [receiver, sender],
      ]) {
        const ciphertext = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i & 0xff))
        const put = await from.put(1, 1, ciphertext)
        expect(put.status).toBe(200)
        expect(put.body).toEqual({ received: 1, acked: 0, window: expect.any(Number) })
        const fetched = await to.fetch(1, 1)
        expect(fetched.status).toBe(200)
        expect(fetched.headers.get('content-type')).toBe('application/octet-stream')
        expect(fetched.headers.get('cache-control')).toBe('no-store')
        expect(fetched.bytes.equals(ciphertext)).toBe(true)
        const acked = await to.ack(1, 1)
        expect([acked.status, acked.text]).toEqual([204, ''])
        expect((await from.view()).channels).toMatchObject([{ received: 1, acked: 1 }])
      }
    })

    test.skipIf(isOverHttp).each(['sender', 'receiver'] as const)(
      'the %s may be on a WebSocket, the other not',
      async (side) => {
        const { sender, receiver, S, R } = await pair(relay)
        const [socket, other, left] = side === 'sender' ? [S, receiver, R] : [R, sender, S]
        await other.attachOverHttp()
        await expectClosed(left, 'superseded')
        socket.send(data(1, 1, 'from the socket'))
        await pollUntil(other, ({ channels }) => channels[0].available === 1)
        expect((await other.fetch(1, 1)).text).toBe('from the socket')
        await other.ack(1, 1)
        while ((await socket.nextAck()) !== '1/1');
        expect((await other.put(1, 1, 'from HTTP')).status).toBe(200)
        expect((await socket.nextData()).bytes).toEqual(data(1, 1, 'from HTTP'))
        socket.send(ack(1, 1))
        await pollUntil(other, ({ channels }) => channels[0].acked === 1)
      },
    )

    test.skipIf(isOverHttp)('a socket supersedes an attach over HTTP, and continues where it says', async () => {
      const { sender, receiver } = await pairOverHttp()
      for (const seq of [1, 2, 3]) await sender.put(1, seq, `frame ${seq}`)
      await receiver.fetch(1, 1)
      const R = await receiver.attach([{ channel: 1, received: 1, acked: 0 }])
      expect((await R.dataThrough(1, 3)).map((frame) => frame.subarray(8).toString())).toEqual(['frame 2', 'frame 3'])
      expect((await sender.view()).channels).toMatchObject([{ acked: 1 }])
      R.cut()
      await pollUntil(sender, ({ receivers }) => receivers[0].present === false)
    })

    test('the attach says where both directions go on: it acks, and lets the rest be fetched', async () => {
      const { sender, receiver } = await pairOverHttp()
      for (const seq of [1, 2, 3]) await sender.put(1, seq, `frame ${seq}`)
      const view = await receiver.attachOverHttp([{ channel: 1, received: 2, acked: 0 }])
      expect(view.channels).toMatchObject([{ received: 0, available: 3 }])
      expect((await sender.attachOverHttp()).channels).toMatchObject([{ received: 3, acked: 2 }])
      await expectRefused('frame_refused', [sender, receiver], () => receiver.fetch(1, 2))
      expect((await receiver.fetch(1, 3)).text).toBe('frame 3')
    })

    test('an entry for a channel that is not live or not the own is ignored, as on a socket', async () => {
      const { sender, receiver } = await pairOverHttp()
      const view = await receiver.attachOverHttp([{ channel: 7, received: 9, acked: 9 }])
      expect(view.channels).toMatchObject([{ channel: 1, received: 0, acked: 0, available: 0 }])
      expect((await sender.view()).channels).toHaveLength(1)
    })

    test('R13: an attach has a name, by which calls of an older one are superseded, and one without it is taken', async () => {
      const { sender, receiver } = await pairOverHttp()
      const attach = async () =>
        (await receiver.call('PUT', '/attachment', { channels: [] })).body as { attachment: string }
      const [older, newer] = [await attach(), await attach()]
      expect(older.attachment).toMatch(/^[A-Za-z0-9_-]{1,32}$/)
      await sender.put(1, 1, 'x')
      const calls = ({ attachment }: { attachment: string }) => [
        () => receiver.call('GET', `?channels=&attachment=${attachment}`),
        () => receiver.call('PUT', `/channels/1/frames/1?attachment=${attachment}`, Buffer.from('y')),
        () => receiver.call('GET', `/channels/1/frames/1?attachment=${attachment}`),
        () => receiver.call('DELETE', `/channels/1/frames/1?attachment=${attachment}`),
      ]
      for (const attempt of calls(older)) await expectRefused('superseded', [sender, receiver], attempt)
      for (const attempt of calls(newer)) expect((await attempt()).status).toBeLessThan(300)
      expect((await receiver.fetch(1, 2)).status).toBe(204)
      if (isOverHttp) return
      const R = await receiver.attach([{ channel: 1, received: 1, acked: 0 }])
      expectProblem(await receiver.call('GET', `?channels=&attachment=${newer.attachment}`), 'superseded')
      R.cut()
    })

    test('an attach in the epitaph answers the closed view', async () => {
      const { sender, receiver } = await pairOverHttp()
      await sender.close()
      for (const party of [sender, receiver]) {
        expect(await party.attachOverHttp()).toMatchObject({ state: 'closed', channels: [] })
      }
    })

    test('a receiver that has ended can attach and sees that it has', async () => {
      const { sender, receiver } = await pairOverHttp()
      await sender.revoke(receiver)
      expect(await receiver.attachOverHttp()).toMatchObject({ receivers: [{ state: 'revoked' }], channels: [] })
    })

    const attaches: readonly (readonly [string, unknown])[] = [
      ['nothing', {}],
      ['channels that are no list', { channels: {} }],
      ['33 channels', { channels: Array.from({ length: 33 }, (_, i) => ({ channel: i + 1, received: 0, acked: 0 })) }],
      ['a channel twice', { channels: [0, 1].map((acked) => ({ channel: 1, received: 0, acked })) }],
      ['channel 0', { channels: [{ channel: 0, received: 0, acked: 0 }] }],
      ['a seq below 0', { channels: [{ channel: 1, received: -1, acked: 0 }] }],
      ['a seq above 4,294,967,295', { channels: [{ channel: 1, received: 0, acked: 4_294_967_296 }] }],
    ]
    test.each(attaches)('an attach with %s is invalid_request', async (_, body) => {
      const sender = await openSession(relay)
      await expectRefused('invalid_request', [sender], () => sender.call('PUT', '/attachment', body))
    })
  })

  describe('a poll', () => {
    test('is held while it knows everything, and answered for a frame, an ack and a change', async () => {
      const { sender, receiver } = await pairOverHttp()
      const known = async (party: Party, channels: string) => {
        let done = false
        const { version } = await party.view()
        const view = party.view(`?version=${version}&waitMs=20000&channels=${channels}`).finally(() => {
          done = true
        })
        for (let i = 0; i < 3; i++) await party.view()
        expect(done).toBe(false)
        return { view }
      }
      const frame = await known(receiver, '1.0.0')
      await sender.put(1, 1, 'x')
      expect((await frame.view).channels).toMatchObject([{ available: 1 }])
      const acked = await known(sender, '1.0.0')
      await receiver.ack(1, 1)
      expect((await acked.view).channels).toMatchObject([{ received: 1, acked: 1 }])
      const change = await known(sender, '1.0.1')
      await sender.retireCode()
      expect((await change.view).joinable).toBe(false)
    })

    test('is answered at once when more can be fetched, or more is acked, than it says', async () => {
      const { sender, receiver } = await pairOverHttp()
      for (const seq of [1, 2]) await sender.put(1, seq, 'x')
      await receiver.ack(1, 1)
      const start = performance.now()
      for (const [party, channels] of [
        [receiver, '1.1.0'],
        [sender, '1.0.0'],
      ] as const) {
        const { version } = await party.view()
        await party.view(`?version=${version}&waitMs=20000&channels=${channels}`)
      }
      // A held poll is answered when its time is over.
      expect(performance.now() - start).toBeLessThan(20_000)
    })

    test('may name no channel; a channel it does not name wakes it by the version alone', async () => {
      const { sender, receiver } = await pairOverHttp()
      await sender.put(1, 1, 'x')
      const { version } = await receiver.view()
      const view = await receiver.view(`?version=${version}&waitMs=50&channels=`)
      expect(view.channels).toMatchObject([{ available: 1 }])
    })

    test('that does not name channels at all is the plain view', async () => {
      const { sender } = await pairOverHttp()
      const { maxFrameBytes } = sender.limits
      // Several nodes give it one that does not grow.
      const window = hasSharedStore ? expect.any(Number) : maxFrameBytes
      expect((await sender.view()).channels).toEqual([{ channel: 1, received: 0, acked: 0, window }])
    })

    test.each([
      '1',
      '1.0',
      '1.0.0.0',
      '1.0.0,',
      ',1.0.0',
      'a.b.c',
      '1.-1.0',
      '1.0.0;2.0.0',
      `${'1.0.0,'.repeat(200)}1.0.0`,
    ])('with channels=%s is invalid_request', async (channels) => {
      const sender = await openSession(relay)
      await expectRefused('invalid_request', [sender], () => sender.call('GET', `?channels=${channels}`))
    })

    test('shows the end of the session, and after it the closed view', async () => {
      const { sender, receiver } = await pairOverHttp()
      const { version } = await receiver.view()
      const held = receiver.view(`?version=${version}&waitMs=20000&channels=1.0.0`)
      await sender.close()
      expect(await held).toMatchObject({ state: 'closed', reason: 'closed_by_sender', channels: [] })
      expect(await receiver.view('?channels=1.0.0')).toMatchObject({ state: 'closed' })
    })
  })

  describe('putting a frame', () => {
    test('again is answered like the first time, and changes nothing', async () => {
      const { sender, receiver } = await pairOverHttp()
      const first = (await sender.put(1, 1, 'x')).body
      expect((await sender.put(1, 1, 'x')).body).toEqual(first)
      expect((await receiver.fetch(1, 1)).text).toBe('x')
      await receiver.ack(1, 1)
      expect((await sender.put(1, 1, 'x')).body).toMatchObject({ received: 1, acked: 1 })
    })

    test('that leaves a gap is frame_refused', async () => {
      const { sender, receiver } = await pairOverHttp()
      await expectRefused('frame_refused', [sender, receiver], () => sender.put(1, 2, 'x'))
      await sender.put(1, 1, 'x')
      await expectRefused('frame_refused', [sender, receiver], () => sender.put(1, 3, 'x'))
    })

    test.skipIf(hasSharedStore)(
      'grows the window as a socket would, and the answer shows it; past it is frame_refused',
      async () => {
        const { sender, receiver } = await pairOverHttp()
        const { maxFrameBytes, windowBytes } = sender.limits
        let [window, cost, seq] = [maxFrameBytes, 0, 1]
        for (; cost + maxFrameBytes <= windowBytes; seq++) {
          const { body } = await sender.put(1, seq, Buffer.alloc(maxFrameBytes - 8))
          cost += maxFrameBytes
          window = (body as { window: number }).window
          expect(window).toBeGreaterThanOrEqual(Math.min(windowBytes, cost + maxFrameBytes))
        }
        expect(window).toBe(windowBytes)
        const last = windowBytes - cost
        if (last >= 256) expect((await sender.put(1, seq++, Buffer.alloc(last - 8))).status).toBe(200)
        await expectRefused('frame_refused', [sender, receiver], () => sender.put(1, seq, 'x'))
        await receiver.ack(1, 1)
        expect((await sender.put(1, seq, 'x')).status).toBe(200)
      },
    )

    test('of the largest size is taken, of one byte more is body_too_large', async () => {
      const { sender, receiver } = await pairOverHttp()
      const { maxFrameBytes } = sender.limits
      await expectRefused('body_too_large', [sender, receiver], () =>
        sender.put(1, 1, Buffer.alloc(maxFrameBytes - 8 + 1)),
      )
      expect((await sender.put(1, 1, Buffer.alloc(maxFrameBytes - 8))).status).toBe(200)
    })

    test('of no bytes is invalid_request, of another type is unsupported_media_type', async () => {
      const { sender, receiver } = await pairOverHttp()
      const path = `/v1/sessions/${sender.sessionId}/channels/1/frames/1`
      const { token } = sender
      const put = (body: string | undefined, headers: Record<string, string>) =>
        call(relay, 'PUT', path, { token, body, headers })
      const bad: readonly (readonly [string, () => Promise<Answer>])[] = [
        ['invalid_request', () => put('', OCTETS)],
        ['invalid_request', () => put(undefined, {})],
        ['unsupported_media_type', () => put('{"a":1}', { 'content-type': 'application/json' })],
        ['unsupported_media_type', () => put('x', { 'content-type': 'text/plain' })],
      ]
      for (const [code, attacker] of bad) await expectRefused(code, [sender, receiver], attacker)
    })

    test('before the approval is a handshake or invalid_frame', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      await receiver.attachOverHttp()
      await expectRefused('invalid_frame', [sender, receiver], () => receiver.put(1, 1, Buffer.alloc(2_049)))
      expect((await receiver.put(1, 1, Buffer.alloc(2_048))).status).toBe(200)
      expect((await receiver.put(1, 2, 'x')).status).toBe(200)
      await expectRefused('invalid_frame', [sender, receiver], () => receiver.put(1, 3, 'x'))
    })

    test('before the approval beyond 4,096 is frame_refused', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      await receiver.attachOverHttp()
      expect((await receiver.put(1, 1, Buffer.alloc(2_048))).status).toBe(200)
      await expectRefused('frame_refused', [sender, receiver], () => receiver.put(1, 2, Buffer.alloc(2_033)))
      expect((await receiver.put(1, 2, Buffer.alloc(2_032))).status).toBe(200)
    })
  })

  describe('fetching and acking', () => {
    test('a frame that is not there is 204, one that was acked is frame_refused, one may be fetched twice', async () => {
      const { sender, receiver } = await pairOverHttp()
      expect((await receiver.fetch(1, 1)).status).toBe(204)
      for (const seq of [1, 2]) await sender.put(1, seq, `frame ${seq}`)
      for (let i = 0; i < 2; i++) expect((await receiver.fetch(1, 2)).text).toBe('frame 2')
      expect((await receiver.fetch(1, 3)).status).toBe(204)
      await receiver.ack(1, 1)
      await expectRefused('frame_refused', [sender, receiver], () => receiver.fetch(1, 1))
    })

    test('an ack is cumulative, may be repeated, and never goes back', async () => {
      const { sender, receiver } = await pairOverHttp()
      for (const seq of [1, 2, 3]) await sender.put(1, seq, 'x')
      for (const seq of [2, 2, 1]) expect((await receiver.ack(1, seq)).status).toBe(204)
      expect((await sender.view()).channels).toMatchObject([{ acked: 2 }])
    })
  })

  describe('who may do it, and when', () => {
    const calls: readonly (readonly [string, (party: Party, channel: number) => Promise<Answer>])[] = [
      ['putting', (party, channel) => party.put(channel, 1, 'x')],
      ['fetching', (party, channel) => party.fetch(channel, 1)],
      ['acking', (party, channel) => party.ack(channel, 1)],
    ]

    test.each(calls)(
      '%s on the channel of another receiver is forbidden, also on one that is nobody’s',
      async (_, act) => {
        const sender = await openSession(relay)
        const [attacker, victim] = [await join(sender), await join(sender)]
        for (const channel of [2, 3, 65_535]) {
          await expectRefused('forbidden', [sender, attacker, victim], () => act(attacker, channel))
        }
      },
    )

    test.each(calls)('%s on a channel that was never given out is receiver_not_found', async (_, act) => {
      const { sender } = await pairOverHttp()
      for (const channel of [2, 65_535]) {
        await expectRefused('receiver_not_found', [sender], () => act(sender, channel))
      }
    })

    test.each(calls)(
      '%s on a channel that has ended is receiver_gone, after the session session_gone',
      async (_, act) => {
        const { sender, receiver } = await pairOverHttp()
        await receiver.leave()
        for (const party of [sender, receiver]) await expectRefused('receiver_gone', [sender], () => act(party, 1))
        await sender.close()
        for (const party of [sender, receiver]) expectProblem(await act(party, 1), 'session_gone')
      },
    )

    test.each(['0', '65536', '-1', '1.5', 'x', '%31x'])(
      'channel %s is invalid_request, before the token',
      async (channel) => {
        const sender = await openSession(relay)
        const path = `/v1/sessions/${sender.sessionId}/channels/${channel}/frames/1`
        for (const method of ['GET', 'DELETE']) {
          const attacker = () => call(relay, method, path, { token: fresh32Bytes() })
          await expectRefused('invalid_request', [sender], attacker)
        }
      },
    )

    test.each(['0', '4294967296', '-1', '1e3', '99999999999'])('seq %s is invalid_request', async (seq) => {
      const { sender, receiver } = await pairOverHttp()
      await expectRefused('invalid_request', [sender, receiver], () => sender.put(1, seq, 'x'))
    })

    test('a token that is wrong is told before a body that is', async () => {
      const sender = await openSession(relay)
      const path = `/v1/sessions/${sender.sessionId}/channels/1/frames/1`
      const attacker = { token: fresh32Bytes(), body: 'x', headers: { 'content-type': 'text/plain' } }
      expectProblem(await call(relay, 'PUT', path, attacker), 'unauthorized')
      expectProblem(await call(relay, 'PUT', path, { ...attacker, token: sender.token }), 'unsupported_media_type')
    })

    test('frames do not change the version, and a presence that is renewed does not either', async () => {
      const { sender, receiver } = await pairOverHttp()
      const before = stateOf(await sender.view())
      await sender.put(1, 1, 'x')
      await receiver.fetch(1, 1)
      for (let i = 0; i < 3; i++) await receiver.view('?channels=1.1.0')
      expect((await sender.view()).version).toBe(before.version)
    })
  })
}

/** Polls as a client does, until a view says something. */
async function pollUntil(party: Party, holds: (view: View) => boolean): Promise<View> {
  for (let view = await party.view('?channels='); ; ) {
    if (holds(view)) return view
    const channels = view.channels.map(({ channel, acked, available = 0 }) => `${channel}.${available}.${acked}`)
    view = await party.view(`?version=${view.version}&waitMs=5000&channels=${channels.join()}`)
  }
}
