import { describe, expect, test } from 'vitest'
import { call, fresh32Bytes, freshCode, join, openSession, pair } from './client.ts'
import { expectRefused, stateOf } from './documented.ts'
import type { Relay } from './relay.ts'

interface TokenCall {
  readonly what: string
  readonly method: string
  readonly path: (receiverCode: string) => string
  readonly body?: unknown
}

/** PROTOCOL.md, sections 3 and 4: tokens, roles, and who sees what. */
export function roles(relay: Relay): void {
  describe('who may do what', () => {
    /** Every call that needs a token, as a party would make it for the receiver it is given. */
    const calls: readonly TokenCall[] = [
      { what: 'the view', method: 'GET', path: () => '' },
      { what: 'closing', method: 'DELETE', path: () => '' },
      { what: 'retiring the code', method: 'DELETE', path: () => '/code' },
      {
        what: 'a decision',
        method: 'PUT',
        path: (code) => `/receivers/${code}/decision`,
        body: { decision: 'approved' },
      },
      { what: 'ending a receiver', method: 'DELETE', path: (code) => `/receivers/${code}` },
      { what: 'attaching over HTTP', method: 'PUT', path: () => '/attachment', body: { channels: [] } },
      { what: 'polling', method: 'GET', path: () => '?channels=' },
      { what: 'putting a frame', method: 'PUT', path: () => '/channels/1/frames/1', body: Buffer.from('x') },
      { what: 'fetching a frame', method: 'GET', path: () => '/channels/1/frames/1' },
      { what: 'acking a frame', method: 'DELETE', path: () => '/channels/1/frames/1' },
    ]

    test.each(calls)('$what without a valid token is unauthorized', async ({ method, path, body }) => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const stranger = await openSession(relay)
      const url = `/v1/sessions/${sender.sessionId}${path(receiver.receiverCode)}`
      const attacker = (authorization?: string) =>
        call(relay, method, url, { body, headers: authorization === undefined ? {} : { authorization } })
      for (const authorization of [
        undefined,
        '',
        'Bearer',
        `Bearer ${fresh32Bytes()}`,
        `Bearer ${stranger.token}`,
        `Bearer ${sender.token.slice(1)}`,
        `Bearer ${sender.token} `.repeat(2).trim(),
        `bearer${sender.token}`,
        `Basic ${Buffer.from(`sender:${sender.token}`).toString('base64')}`,
      ]) {
        await expectRefused('unauthorized', [sender, receiver, stranger], () => attacker(authorization))
      }
    })

    test.each(calls.slice(1, 4))("$what with a receiver's token is forbidden", async ({ method, path, body }) => {
      const sender = await openSession(relay)
      const attacker = await join(sender)
      for (const { receiverCode } of [attacker, await join(sender)]) {
        await expectRefused('forbidden', [sender, attacker], () => attacker.call(method, path(receiverCode), body))
      }
    })

    test('a receiver that ends another, or a code that is nobody, is forbidden', async () => {
      const sender = await openSession(relay)
      const [attacker, victim] = [await join(sender), await join(sender)]
      await sender.approve(victim)
      for (const code of [victim.receiverCode, freshCode()]) {
        await expectRefused('forbidden', [sender, attacker, victim], () =>
          attacker.call('DELETE', `/receivers/${code}`),
        )
      }
    })

    test.each(calls)('$what in a session that never was is session_not_found', async ({ method, path, body }) => {
      const sender = await openSession(relay)
      const unknown = Buffer.from(fresh32Bytes()).toString('base64url').slice(0, 21)
      const attacker = () =>
        call(relay, method, `/v1/sessions/${unknown}A${path('NOBODY')}`, { token: sender.token, body })
      await expectRefused('session_not_found', [sender], attacker)
    })

    test("a receiver's view shows nothing of the others, not even how many there are", async () => {
      const sender = await openSession(relay)
      const alone = await join(sender, { name: 'alone' })
      const before = stateOf(await alone.view())
      const other = await join(sender, { name: 'other' })
      const text = JSON.stringify(await alone.view())
      expect(text).not.toContain(other.receiverCode)
      expect(text).not.toContain('other')
      expect({ ...stateOf(await alone.view()), version: '' }).toEqual({ ...before, version: '' })
    })

    test('no view holds a token or a sender code', async () => {
      const { sender, receiver } = await pair(relay)
      for (const party of [sender, receiver]) {
        const text = JSON.stringify(await party.view())
        for (const secret of [sender.token, receiver.token, sender.senderCode]) expect(text).not.toContain(secret)
      }
    })
  })
}
