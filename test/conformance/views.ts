import { describe, expect, test } from 'vitest'
import { call, createSession, fresh32Bytes, freshCode, join, openFull, openSession, pair, tryToJoin } from './client.ts'
import { data } from './device.ts'
import { expectClosed, expectProblem, expectRefused, stateOf } from './documented.ts'
import { isOverHttp, type Relay } from './relay.ts'

/** PROTOCOL.md, sections 3.4 and 4: the view, the long poll, the end and its epitaph. */
export function views(relay: Relay): void {
  describe('the view', () => {
    test('what is pushed is what GET answers, to each role', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'x'))
      await R.nextData()
      await sender.retireCode()
      const [toS, toR] = [await S.nextView((view) => !view.joinable), await R.nextView((view) => !view.joinable)]
      expect(stateOf(await sender.view())).toEqual(stateOf(toS))
      expect(stateOf(await receiver.view())).toEqual(stateOf(toR))
      expect(toS.channels).toEqual([{ channel: 1, received: 1, acked: 0, window: expect.any(Number) }])
      expect(toR.channels).toEqual([{ channel: 1, received: 0, acked: 0, window: receiver.limits.maxFrameBytes }])
    })

    test.skipIf(isOverHttp)('who is attached is shown to the other side, and only of a live receiver', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      expect(await receiver.view()).toMatchObject({ senderPresent: false, receivers: [{ present: false }] })
      const R = await receiver.attach()
      const S = await sender.attach()
      expect(await R.nextView((view) => view.senderPresent === true)).toMatchObject({ receivers: [{ present: true }] })
      R.cut()
      await S.nextView(({ receivers }) => receivers[0].present === false)
      const again = await receiver.attach()
      await S.nextView(({ receivers }) => receivers[0].present === true)
      S.close()
      await again.nextView((view) => view.senderPresent === false)
      await sender.deny(receiver)
      const { receivers, channels } = await receiver.view()
      expect(receivers).toEqual([
        { receiverCode: receiver.receiverCode, channel: 1, state: 'denied', reason: 'rejected' },
      ])
      expect(channels).toEqual([])
    })

    test('frames and acks do not change the version', async () => {
      const { sender, S, R } = await pair(relay)
      S.send(data(1, 1, 'x'))
      R.send(data(1, 1, 'y'))
      await R.nextData()
      await S.nextData()
      const { version } = await sender.view()
      const held = sender.view(`?version=${version}&waitMs=20000`)
      for (const seq of [2, 3, 4]) S.send(data(1, seq, 'x'))
      await R.dataThrough(1, 4)
      expect((await sender.view()).version).toBe(version)
      await sender.retireCode()
      expect((await held).version).not.toBe(version)
    })

    test('a long poll is held until the session changes', async () => {
      const sender = await openSession(relay)
      const { version } = await sender.view()
      let answered = false
      const held = sender.view(`?version=${version}&waitMs=20000`).finally(() => {
        answered = true
      })
      for (let i = 0; i < 5; i++) await sender.view()
      expect(answered).toBe(false)
      const { receiverCode } = await join(sender)
      expect(await held).toMatchObject({ receivers: [{ receiverCode }] })
    })

    test('a long poll with another version, or none, is answered at once', async () => {
      const sender = await openSession(relay)
      const { version } = await sender.view()
      const start = performance.now()
      for (const query of [`?version=${version}0&waitMs=20000`, '?waitMs=20000', `?version=${version}`, '?version=']) {
        expect((await sender.view(query)).version).toBe(version)
      }
      // A held poll is answered when its time is over.
      expect(performance.now() - start).toBeLessThan(20_000)
    })

    test('a long poll whose time is up answers the same view again', async () => {
      const sender = await openSession(relay)
      const before = await sender.view()
      const after = await sender.view(`?version=${before.version}&waitMs=50`)
      expect(stateOf(after)).toEqual(stateOf(before))
      expect(after.expiresInMs).toBeLessThanOrEqual(before.expiresInMs - 50)
    })

    test('the largest view is at most 8,192 bytes', async () => {
      const sender = await openFull(relay)
      const { text, body } = await sender.call('GET')
      expect(body).toMatchObject({ receivers: { length: 31 }, channels: { length: 15 } })
      expect(Buffer.byteLength(text)).toBeGreaterThan(6_000)
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(8_192)
      const { text: overHttp } = await sender.call('GET', '?channels=')
      // Each of three numbers in each of its rows may be nine digits longer one day.
      expect(Buffer.byteLength(overHttp) + 15 * 3 * 9).toBeLessThanOrEqual(8_192)
    })
  })

  describe('the end of a session', () => {
    test('closing shows every socket the closed view, then closes it with session_gone', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      const held = sender.view(`?version=${(await sender.view()).version}&waitMs=20000`)
      await sender.close()
      const row = { receiverCode: receiver.receiverCode, channel: 1, state: 'approved' }
      for (const device of [S, R]) {
        const view = await device.nextView(({ state }) => state === 'closed')
        expect(view).toMatchObject({ reason: 'closed_by_sender', expiresInMs: 0, joinable: false, channels: [] })
        expect(view.receivers).toEqual([row])
        await expectClosed(device, 'session_gone')
      }
      expect((await held).state).toBe('closed')
    })

    test('the epitaph answers both roles, keeps the code, and refuses the rest with session_gone', async () => {
      const sender = await openSession(relay)
      const [receiver, pending] = [await join(sender), await join(sender)]
      await sender.approve(receiver)
      await sender.close()
      const witnesses = [sender, receiver, pending]
      const requests = [
        () => sender.call('DELETE', '/code'),
        () => sender.decide(pending.receiverCode, 'approved'),
        () => sender.decide(receiver.receiverCode, 'approved'),
        () => sender.decide(freshCode(), 'denied'),
        () => sender.call('DELETE', `/receivers/${receiver.receiverCode}`),
        () => receiver.call('DELETE', `/receivers/${receiver.receiverCode}`),
        () => pending.call('DELETE', `/receivers/${pending.receiverCode}`),
      ]
      for (const request of requests) await expectRefused('session_gone', witnesses, request)
      await expectRefused('forbidden', witnesses, () => receiver.call('DELETE'))
      await expectRefused('code_in_use', witnesses, () => createSession(relay, { senderCode: sender.senderCode }))
      await expectRefused('session_not_found', witnesses, () => tryToJoin(relay, sender.senderCode))
      const attacker = () => call(relay, 'GET', `/v1/sessions/${sender.sessionId}`, { token: fresh32Bytes() })
      await expectRefused('unauthorized', witnesses, attacker)

      const closed = stateOf(await sender.view())
      await sender.close()
      expect(stateOf(await sender.view())).toEqual(closed)
      expect(await receiver.view()).toMatchObject({
        state: 'closed',
        senderPresent: false,
        receivers: [{ channel: 1 }],
      })
    })

    test('an attach in the epitaph gets the closed view, then session_gone', async () => {
      const { sender, receiver, S, R } = await pair(relay)
      S.send(data(1, 1, 'x'))
      await R.nextData()
      await sender.close()
      for (const party of [sender, receiver]) {
        const device = await party.attach([{ channel: 1, received: 0, acked: 0 }])
        await expectClosed(device, 'session_gone')
        const role = party === sender ? 'sender' : 'receiver'
        for (const message of device.messages) expect(message).toMatchObject({ view: { state: 'closed', role } })
      }
    })

    test('a long poll in the epitaph is answered at once', async () => {
      const sender = await openSession(relay)
      await sender.close()
      const { version } = await sender.view()
      expect(await sender.view(`?version=${version}&waitMs=20000`)).toMatchObject({ state: 'closed', version })
    })

    test.each([
      ['nobody came', 'closed_by_sender', []],
      ['one was done', 'completed', ['done']],
      ['one was done, others were denied, left or still waited', 'completed', ['done', 'denied', 'left', 'pending']],
      ['one was done and one still approved', 'closed_by_sender', ['done', 'approved']],
      ['one was done and one revoked', 'closed_by_sender', ['done', 'revoked']],
      ['one was denied', 'closed_by_sender', ['denied']],
    ])('a session in which %s closes as %s', async (_, reason, states) => {
      const sender = await openSession(relay)
      for (const state of states) {
        const receiver = await join(sender)
        if (state === 'denied') await sender.deny(receiver)
        if (['done', 'approved', 'revoked'].includes(state)) await sender.approve(receiver)
        if (['done', 'left'].includes(state)) await receiver.leave()
        if (state === 'revoked') await sender.revoke(receiver)
      }
      expect((await sender.view()).receivers.map(({ state }) => state)).toEqual(states)
      await sender.close()
      const { receivers, ...view } = await sender.view()
      expect(view).toMatchObject({ state: 'closed', reason })
      expect(receivers.map(({ state }) => state)).toEqual(states)
      expect(receivers.every((row) => !('publicKey' in row || 'name' in row || 'present' in row))).toBe(true)
    })

    test('a closed session leaves the rest of the relay alone', async () => {
      const [closing, staying] = [await pair(relay), await pair(relay)]
      await closing.sender.close()
      await expectClosed(closing.S, 'session_gone')
      staying.S.send(data(1, 1, 'still here'))
      expect((await staying.R.nextData()).bytes.subarray(8).toString()).toBe('still here')
      expectProblem(await tryToJoin(relay, closing.sender.senderCode), 'session_not_found')
    })
  })
}
