import { describe, expect, test } from 'vitest'
import { createSession, freshCode, join, openSession, type Party, type Sender, tryToJoin } from './client.ts'
import { expectProblem, expectRefused, stateOf } from './documented.ts'
import { RawConnection, upgradeRequest } from './raw.ts'
import type { Relay } from './relay.ts'

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

    test('a ninth pending receiver is session_full, and there is room again when one was decided', async () => {
      const sender = await openSession(relay)
      const receivers = []
      for (let i = 0; i < 8; i++) receivers.push(await join(sender))
      const attacker = () => tryToJoin(relay, sender.senderCode)
      await expectRefused('session_full', [sender, receivers[0]], attacker)
      await sender.deny(receivers[0])
      expect((await attacker()).body).toMatchObject({ channel: 9 })
      await expectRefused('session_full', [sender], attacker)
    })

    test('the 32nd join is the last, however the others ended', async () => {
      const sender = await openSession(relay)
      for (let i = 1; i < 32; i++) await (await join(sender)).leave()
      expect((await sender.view()).joinable).toBe(true)
      const last = await join(sender)
      expect(last.channel).toBe(32)
      expect((await sender.view()).joinable).toBe(false)
      await expectRefused('session_not_found', [sender, last], () => tryToJoin(relay, sender.senderCode))
    })

    test('the code is unknown to a source whose receivers failed five handshakes, and to nobody else who has joined', async () => {
      const sender = await openSession(relay)
      const witness = await join(sender)
      const failed = []
      for (let i = 0; i < 5; i++) failed.push(await join(sender))
      for (const each of failed.slice(1)) await sender.deny(each, 'handshake_timeout')
      const last = await join(sender)
      await sender.deny(failed[0], 'handshake_failed')
      await expectRefused('session_not_found', [sender, witness, last], () => tryToJoin(relay, sender.senderCode))
      expect((await sender.view()).joinable).toBe(true)
      await sender.approve(last)
    })

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
