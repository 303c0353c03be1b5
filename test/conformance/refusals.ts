import { describe, expect, test } from 'vitest'
import {
  createSession,
  freshAddress,
  freshCode,
  join,
  openSession,
  type Party,
  type Sender,
  tryToJoin,
} from './client.ts'
import { expectProblem, expectRefused, stateOf } from './documented.ts'
import { RawConnection, upgradeRequest } from './raw.ts'
import { isForeign, type Relay } from './relay.ts'

/** PROTOCOL.md, sections 3 and 4: what the state of a session refuses, and that a refusal changes nothing. */
export function refusals(relay: Relay): void {
  describe('refusals by state', () => {
    test('an unknown, a retired, a used-up and a closed code get one answer, to the byte', async () => {
      const retired = await openSession(relay)
      await retired.retireCode()
      const usedUp = await openSession(relay, { maxReceivers: 1 })
      await usedUp.approve(await join(usedUp))
      const closed = await openSession(relay)
      await closed.close()
      const attacker = async (senderCode: string) => {
        const answer = await tryToJoin(relay, senderCode)
        expectProblem(answer, 'session_not_found')
        const headers = [...answer.headers].filter(([name]) => name !== 'date')
        return { text: answer.text, headers }
      }
      const unknown = await attacker(freshCode())
      for (const { senderCode } of [retired, usedUp, closed]) expect(await attacker(senderCode)).toEqual(unknown)
    })

    test('a retired code takes no join, keeps who has joined, and stays in use', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      await sender.retireCode()
      const once = stateOf(await sender.view())
      expect(once.joinable).toBe(false)
      await sender.retireCode()
      expect(stateOf(await sender.view())).toEqual(once)
      await expectRefused('session_not_found', [sender, receiver], () => tryToJoin(relay, sender.senderCode))
      await expectRefused('code_in_use', [sender], () => createSession(relay, { senderCode: sender.senderCode }))
      await sender.approve(receiver)
    })

    const statesIn = async (sender: Sender) => (await sender.view()).receivers.map(({ state }) => state)

    test.skipIf(isForeign)('R8: a ninth pending receiver takes the place of the oldest that is away', async () => {
      const sender = await openSession(relay)
      const receivers = []
      for (let i = 0; i < 8; i++) receivers.push(await join(sender))
      for (const present of [receivers[0], ...receivers.slice(2)]) await present.attachOverHttp()
      expect((await join(sender)).channel).toBe(9)
      expect(await statesIn(sender)).toEqual(['pending', 'left', ...Array(7).fill('pending')])
      expect(await receivers[1].view()).toMatchObject({ receivers: [{ state: 'left' }], channels: [] })
    })

    test.skipIf(isForeign)(
      'R8: where all are there, it takes the place of the one whose address joined most often',
      async () => {
        const sender = await openSession(relay)
        const attacker = freshAddress()
        await (await join(sender, { from: attacker })).leave()
        for (const from of [undefined, attacker, ...Array(6).fill(undefined)]) {
          await (await join(sender, { from })).attachOverHttp()
        }
        await (await join(sender)).attachOverHttp()
        expect((await statesIn(sender)).slice(0, 4)).toEqual(['left', 'pending', 'left', 'pending'])
      },
    )

    test.skipIf(isForeign)('R8: a receiver that the sender has answered makes way for nobody', async () => {
      const sender = await openSession(relay)
      const receivers = []
      for (let i = 0; i < 8; i++) receivers.push(await join(sender))
      await sender.attachOverHttp()
      for (const { channel } of receivers) {
        for (const seq of [1, 2]) expect((await sender.put(channel, seq, `m${2 * seq}`)).status).toBe(200)
      }
      const attacker = () => tryToJoin(relay, sender.senderCode)
      await expectRefused('session_full', [sender, receivers[0]], attacker)
      await sender.deny(receivers[0])
      expect((await attacker()).body).toMatchObject({ channel: 9 })
    })

    test.skipIf(isForeign)('R9: of one address two wait at most, and eight join', async () => {
      const sender = await openSession(relay)
      const from = freshAddress()
      const attacker = () => tryToJoin(relay, sender.senderCode, { from })
      let last = await join(sender, { from })
      for (let joins = 2; joins <= 8; joins++) {
        const next = await join(sender, { from })
        await expectRefused('session_not_found', [sender, next], attacker)
        await last.leave()
        last = next
      }
      await last.leave()
      await expectRefused('session_not_found', [sender], attacker)
      expect((await sender.view()).joinable).toBe(true)
      await join(sender)
    })

    test.skipIf(isForeign)(
      'R11: joins that left or spent nothing do not use the code up; their rows make way',
      async () => {
        const sender = await openSession(relay)
        const left = await join(sender)
        await left.leave()
        for (const reason of ['handshake_timeout', 'handshake_invalid', 'unsupported']) {
          for (let i = 0; i < 11; i++) await sender.deny(await join(sender), reason)
        }
        const { joinable, receivers } = await sender.view()
        expect([joinable, receivers.length]).toEqual([true, 32])
        expect(receivers.map(({ channel }) => channel)).toEqual(Array.from({ length: 32 }, (_, i) => i + 3))
        expectProblem(await left.call('GET'), 'unauthorized')
      },
    )

    test.skipIf(isForeign)('the 32nd join that was denied by a person or for a wrong code is the last', async () => {
      const sender = await openSession(relay)
      for (let i = 1; i < 32; i++) await sender.deny(await join(sender), i % 2 ? 'rejected' : 'handshake_failed')
      const last = await join(sender)
      expect([last.channel, (await sender.view()).joinable]).toEqual([32, false])
      await expectRefused('session_not_found', [sender, last], () => tryToJoin(relay, sender.senderCode))
      await last.leave()
      expect((await sender.view()).joinable).toBe(true)
      await join(sender)
    })

    test.skipIf(isForeign)(
      'R10: the code is unknown to an address that spent five guesses, and to nobody else',
      async () => {
        const sender = await openSession(relay)
        const from = freshAddress()
        const witness = await join(sender)
        for (let i = 0; i < 4; i++) await sender.deny(await join(sender, { from }), 'handshake_failed')
        for (const reason of ['handshake_timeout', 'handshake_invalid', 'unsupported']) {
          await sender.deny(await join(sender, { from }), reason)
        }
        await sender.deny(await join(sender, { from }), 'handshake_failed')
        await expectRefused('session_not_found', [sender, witness], () => tryToJoin(relay, sender.senderCode, { from }))
        expect((await sender.view()).joinable).toBe(true)
        await sender.approve(await join(sender))
      },
    )

    test('a done receiver counts against maxReceivers, a revoked one does not', async () => {
      const sender = await openSession(relay, { maxReceivers: 1 })
      const [first, second, third] = [await join(sender), await join(sender), await join(sender)]
      await sender.approve(first)
      await expectRefused('session_full', [sender], () => sender.decide(second.receiverCode, 'approved'))
      await sender.revoke(first)
      await sender.approve(second)
      await second.leave()
      await expectRefused('session_full', [sender], () => sender.decide(third.receiverCode, 'approved'))
    })

    test('the same decision again is 204 and changes nothing, another one is decision_made', async () => {
      const sender = await openSession(relay)
      const [approved, denied, failed] = [await join(sender), await join(sender), await join(sender)]
      await sender.approve(approved)
      await sender.deny(denied)
      await sender.deny(failed, 'handshake_failed')
      const decided = stateOf(await sender.view())
      await sender.approve(approved)
      await sender.deny(denied, 'rejected')
      await sender.deny(failed, 'handshake_failed')
      expect(stateOf(await sender.view())).toEqual(decided)
      const witnesses = [sender, approved, denied, failed]
      for (const [receiver, decision, reason] of [
        [approved, 'denied', undefined],
        [denied, 'approved', undefined],
        [denied, 'denied', 'handshake_timeout'],
        [failed, 'denied', undefined],
      ] as const) {
        await expectRefused('decision_made', witnesses, () => sender.decide(receiver.receiverCode, decision, reason))
      }
    })

    test('an approval stands after done and after revoked: repeating it is 204, denying is decision_made', async () => {
      const sender = await openSession(relay)
      const [done, revoked] = [await join(sender), await join(sender)]
      await sender.approve(done, revoked)
      await done.leave()
      await sender.revoke(revoked)
      const ended = stateOf(await sender.view())
      expect(ended.receivers.map(({ state }) => state)).toEqual(['done', 'revoked'])
      await sender.approve(done, revoked)
      expect(stateOf(await sender.view())).toEqual(ended)
      for (const { receiverCode } of [done, revoked]) {
        await expectRefused('decision_made', [sender, done, revoked], () => sender.decide(receiverCode, 'denied'))
      }
    })

    test('deciding about a receiver that left is receiver_gone', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      await receiver.leave()
      expect((await sender.view()).receivers).toEqual([
        { receiverCode: receiver.receiverCode, channel: 1, state: 'left' },
      ])
      for (const decision of ['approved', 'denied']) {
        await expectRefused('receiver_gone', [sender, receiver], () => sender.decide(receiver.receiverCode, decision))
      }
    })

    test('deciding about or ending a receiver that never joined is receiver_not_found', async () => {
      const sender = await openSession(relay)
      const elsewhere = await join(await openSession(relay))
      const path = `/receivers/${elsewhere.receiverCode}`
      const witnesses: readonly Party[] = [sender, elsewhere]
      await expectRefused('receiver_not_found', witnesses, () => sender.decide(elsewhere.receiverCode, 'approved'))
      await expectRefused('receiver_not_found', witnesses, () => sender.call('DELETE', path))
    })

    test('a pending receiver is not revoked but decided about: not_approved', async () => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const revoke = () => sender.call('DELETE', `/receivers/${receiver.receiverCode}`)
      await expectRefused('not_approved', [sender, receiver], revoke)
    })

    test('ending a receiver is 204 when repeated, by whom ever, and the first word stands', async () => {
      const sender = await openSession(relay)
      const [left, revoked, denied] = [await join(sender), await join(sender), await join(sender)]
      await sender.approve(revoked)
      await sender.deny(denied)
      await left.leave()
      await sender.revoke(revoked)
      const ended = stateOf(await sender.view())
      for (const receiver of [left, revoked, denied]) {
        await receiver.leave()
        await sender.revoke(receiver)
      }
      expect(stateOf(await sender.view())).toEqual(ended)
      expect(ended.receivers.map(({ state }) => state)).toEqual(['left', 'revoked', 'denied'])
    })

    test('a 33rd open session of one client id is too_many_sessions, until one is closed', async () => {
      const clientId = freshCode()
      const mine: Sender[] = []
      for (let i = 0; i < 32; i++) mine.push(await openSession(relay, { clientId }))
      const attacker = () => createSession(relay, { clientId })
      await expectRefused('too_many_sessions', mine.slice(0, 2), attacker)
      await openSession(relay)
      await mine[0].close()
      expect((await attacker()).status).toBe(201)
    })

    test('an upgrade without the subprotocol, or a socket path without an upgrade, is invalid_request', async () => {
      const sender = await openSession(relay)
      const path = `/v1/sessions/${sender.sessionId}/socket`
      await expectRefused('invalid_request', [sender], () => sender.call('GET', '/socket'))
      await expectRefused('invalid_request', [sender], async () => {
        const attacker = await RawConnection.open(relay)
        attacker.write(`GET ${path} HTTP/1.1\r\nHost: relay\r\nSec-WebSocket-Protocol: pairlay.v1\r\n\r\n`)
        return attacker.answer()
      })
      for (const subprotocol of ['', 'pairlay', 'pairlay.v2', 'PAIRLAY.V1', 'xpairlay.v1, pairlay.v10']) {
        await expectRefused('invalid_request', [sender], async () => {
          const attacker = await RawConnection.open(relay)
          attacker.write(upgradeRequest(path, subprotocol))
          return await attacker.answer()
        })
      }
    })

    test('an upgrade that offers more than pairlay.v1 gets pairlay.v1 and no extension', async () => {
      const sender = await openSession(relay)
      const connection = await RawConnection.open(relay)
      const path = `/v1/sessions/${sender.sessionId}/socket`
      connection.write(upgradeRequest(path, 'chat, pairlay.v1', ['Sec-WebSocket-Extensions: permessage-deflate']))
      const { status, headers } = await connection.answer()
      expect(status).toBe(101)
      expect(headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
      expect(headers.get('sec-websocket-protocol')).toBe('pairlay.v1')
      expect(headers.get('sec-websocket-extensions')).toBeNull()
      connection.destroy()
    })
  })
}
