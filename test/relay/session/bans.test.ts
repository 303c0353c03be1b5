import { describe, test } from 'vitest'
import type { DenialReason } from '../../../src/protocol/fields.ts'
import { expectRefusal } from '../../support/refusal.ts'
import { opened, TestRelay } from '../../support/relay.ts'

type Sender = Awaited<ReturnType<TestRelay['open']>>

describe('a join from a source whose handshakes fail', () => {
  const fail = async (node: TestRelay, sender: Sender, reason: DenialReason, source: string) => {
    const { receiverCode } = await node.join(sender.senderCode, {}, source)
    await node.relay.decide(sender.sessionId, sender.token, receiverCode, { decision: 'denied', reason })
  }

  test('is refused as an unknown code is after the fifth spent guess, in this session alone', async () => {
    const node = new TestRelay()
    const [sender, other] = [await node.open(), await node.open()]
    const attacker = () => node.join(sender.senderCode, {}, '192.0.2.1')
    for (let i = 0; i < 4; i++) await fail(node, sender, 'handshake_failed', '192.0.2.1')
    const last = await attacker()
    // The fifth is not decided yet.
    await attacker()
    const { sessionId, token } = sender
    const failed = { decision: 'denied', reason: 'handshake_failed' } as const
    await node.relay.decide(sessionId, token, last.receiverCode, failed)
    await expectRefusal(attacker, 'session_not_found')
    await node.join(sender.senderCode, {}, '192.0.2.2')
    await node.join(other.senderCode, {}, '192.0.2.1')
  })

  test('is refused before anything is said of its receiver code, or of how many wait', async () => {
    const { node, sender } = await opened()
    for (let i = 0; i < 5; i++) await fail(node, sender, 'handshake_failed', '192.0.2.1')
    await node.join(sender.senderCode, { receiverCode: 'taken' })
    const attacker = () => node.join(sender.senderCode, { receiverCode: 'taken' }, '192.0.2.1')
    await expectRefusal(attacker, 'session_not_found')
    for (let i = 0; i < 7; i++) await node.join(sender.senderCode)
    await expectRefusal(attacker, 'session_not_found')
  })

  test('is not refused to who was denied by a person as often', async () => {
    const { node, sender } = await opened()
    for (let i = 0; i < 5; i++) await fail(node, sender, 'rejected', '192.0.2.1')
    await node.join(sender.senderCode, {}, '192.0.2.1')
  })

  test('is not refused to an address that nothing counts, however often it fails or joins', async () => {
    const { node, sender } = await opened()
    for (let i = 0; i < 10; i++) await fail(node, sender, 'handshake_failed', '')
    for (let i = 0; i < 4; i++) await node.join(sender.senderCode, {}, '')
  })

  test('is refused for spent guesses also where nothing else of one address is limited', async () => {
    const { node, sender } = await opened({}, { settings: { limitAddresses: false } })
    for (let i = 0; i < 6; i++) await node.join(sender.senderCode, {}, '192.0.2.1')
    const other = await node.open()
    for (let i = 0; i < 5; i++) await fail(node, other, 'handshake_failed', '192.0.2.1')
    await expectRefusal(() => node.join(other.senderCode, {}, '192.0.2.1'), 'session_not_found')
  })
})
