import { describe, expect, test } from 'vitest'
import { type Answer, call, createSession, fresh32Bytes, freshCode, join, openSession, tryToJoin } from './client.ts'
import { expectProblem, expectRefused } from './documented.ts'
import { RawConnection } from './raw.ts'
import type { Relay } from './relay.ts'

/** PROTOCOL.md, section 3: requests that do not have the documented form, and that they change nothing. */
export function requests(relay: Relay): void {
  describe('requests that do not have the documented form', () => {
    const sessions: readonly (readonly [string, Record<string, unknown>])[] = [
      ['no client id', { clientId: undefined }],
      ['an empty client id', { clientId: '' }],
      ['a client id of 65 characters', { clientId: 'c'.repeat(65) }],
      ['a client id that is a number', { clientId: 7 }],
      ['no sender code', { senderCode: undefined }],
      ['a sender code of 3 characters', { senderCode: 'abc' }],
      ['a sender code of 65 characters', { senderCode: 'a'.repeat(65) }],
      ['a sender code with a space', { senderCode: 'ab cd' }],
      ['a sender code with a letter outside ASCII', { senderCode: 'äbcd' }],
      ['a sender code with a line feed at its end', { senderCode: 'abcd\n' }],
      ['a time-out of 29 s', { ttlSeconds: 29 }],
      ['a time-out of 86,401 s', { ttlSeconds: 86_401 }],
      ['a time-out of 30.5 s', { ttlSeconds: 30.5 }],
      ['a time-out as text', { ttlSeconds: '60' }],
      ['a time-out of null', { ttlSeconds: null }],
      ['0 receivers', { maxReceivers: 0 }],
      ['9 receivers', { maxReceivers: 9 }],
    ]
    test.each(sessions)('a session with %s is invalid_request', async (_, wrong) => {
      const senderCode = freshCode()
      expectProblem(await createSession(relay, { senderCode, ...wrong }), 'invalid_request')
      expectProblem(await tryToJoin(relay, senderCode), 'session_not_found')
    })

    const joins: readonly (readonly [string, Record<string, unknown>])[] = [
      ['no receiver code', { receiverCode: undefined }],
      ['a receiver code of 3 characters', { receiverCode: 'abc' }],
      ['a receiver code of 65 characters', { receiverCode: 'a'.repeat(65) }],
      ['a receiver code with a slash', { receiverCode: 'ab/cd' }],
      ['no key', { publicKey: undefined }],
      ['a key of no bytes', { publicKey: '' }],
      ['a key of 129 bytes', { publicKey: Buffer.alloc(129).toString('base64url') }],
      ['a key with padding', { publicKey: `${Buffer.alloc(32).toString('base64url')}=` }],
      ['a key in the other base64 alphabet', { publicKey: `${'A'.repeat(40)}+/A` }],
      ['a key in a spelling that is not canonical', { publicKey: `${'A'.repeat(42)}B` }],
      ['a key as a list of bytes', { publicKey: Array(32).fill(0) }],
      ['an empty name', { name: '' }],
      ['a name of 65 bytes', { name: 'n'.repeat(65) }],
      ['a name of 33 two-byte letters', { name: 'ä'.repeat(33) }],
      ['a name whose control characters take 66 bytes in JSON', { name: '\u0000'.repeat(11) }],
      ['a name whose quotes take 66 bytes in JSON', { name: '"'.repeat(33) }],
    ]
    test.each(joins)('a join with %s is invalid_request', async (_, wrong) => {
      const sender = await openSession(relay)
      await expectRefused('invalid_request', [sender], () => tryToJoin(relay, sender.senderCode, wrong))
    })

    test('a name of exactly 64 bytes, a code of exactly 64 characters and a code of 4 are taken', async () => {
      const sender = await openSession(relay)
      for (const name of ['n'.repeat(64), 'ä'.repeat(32), '\u0000'.repeat(10), '"'.repeat(32), '😀'.repeat(16)]) {
        expect((await tryToJoin(relay, sender.senderCode, { name })).status).toBe(201)
      }
      for (const receiverCode of ['-'.repeat(64), '__--']) {
        expect((await tryToJoin(relay, sender.senderCode, { receiverCode })).status).toBe(201)
      }
      expect((await sender.view()).receivers.map(({ name }) => name)).toContain('😀'.repeat(16))
    })

    const decisions: readonly (readonly [string, unknown])[] = [
      ['no decision', {}],
      ['an unknown decision', { decision: 'maybe' }],
      ['an approval with a reason', { decision: 'approved', reason: 'rejected' }],
      ['an unknown reason', { decision: 'denied', reason: 'because' }],
      ['null', null],
      ['a list', ['approved']],
      ['a text', '"approved"'],
    ]
    test.each(decisions)('a decision that is %s is invalid_request', async (_, body) => {
      const sender = await openSession(relay)
      const receiver = await join(sender)
      const path = `/receivers/${receiver.receiverCode}/decision`
      await expectRefused('invalid_request', [sender, receiver], () => sender.call('PUT', path, body))
    })

    const queries = ['?waitMs=25001', '?waitMs=-1', '?waitMs=1.5', '?waitMs=soon', `?version=${'1'.repeat(33)}`]
    test.each(queries)('a view asked for with %s is invalid_request', async (query) => {
      const sender = await openSession(relay)
      await expectRefused('invalid_request', [sender], () => sender.call('GET', query))
    })

    test.each([
      ['is empty', ''],
      ['is not JSON', '{"clientId":'],
      ['is not an object', '[]'],
      ['has a key __proto__', '{"clientId":"c","senderCode":"CODE","__proto__":{"maxReceivers":1}}'],
      ['has a key __proto__ further down', '{"clientId":"c","senderCode":"CODE","x":{"__proto__":{}}}'],
      ['has a constructor with a prototype', '{"clientId":"c","senderCode":"CODE","constructor":{"prototype":{}}}'],
    ])('a body that %s is invalid_request', async (_, body) => {
      const senderCode = freshCode()
      const attacker = () => call(relay, 'POST', '/v1/sessions', { body: body.replace('CODE', senderCode) })
      expectProblem(await attacker(), 'invalid_request')
      expectProblem(await tryToJoin(relay, senderCode), 'session_not_found')
    })

    test('an unknown field is ignored', async () => {
      const sender = await openSession(relay, { colour: 'blue', token: fresh32Bytes() })
      expect((await tryToJoin(relay, sender.senderCode, { state: 'approved', channel: 9 })).body).toMatchObject({
        channel: 1,
      })
      expect((await sender.view()).receivers[0].state).toBe('pending')
    })

    test('a session id of the wrong form is invalid_request, whatever the token', async () => {
      const attacker = { token: fresh32Bytes() }
      for (const wrong of ['short', 'A'.repeat(23), `${'A'.repeat(21)}B`, 'A'.repeat(400), '%zz', '%00', 'a%2fb']) {
        expectProblem(await call(relay, 'GET', `/v1/sessions/${wrong}`, attacker), 'invalid_request')
      }
    })

    test('a receiver code of the wrong form in a path is invalid_request', async () => {
      const sender = await openSession(relay)
      for (const wrong of ['abc', 'a'.repeat(65), 'a'.repeat(400), 'ab%20cd']) {
        await expectRefused('invalid_request', [sender], () => sender.call('DELETE', `/receivers/${wrong}`))
      }
    })

    test('a body that is not application/json is unsupported_media_type', async () => {
      const senderCode = freshCode()
      const body = JSON.stringify({ clientId: 'c', senderCode })
      for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/xml']) {
        const headers = { 'content-type': type }
        expectProblem(await call(relay, 'POST', '/v1/sessions', { body, headers }), 'unsupported_media_type')
      }
      expectProblem(await tryToJoin(relay, senderCode), 'session_not_found')
    })

    test('a body of 8,192 bytes is taken, one of 8,193 is body_too_large', async () => {
      const sized = (senderCode: string, bytes: number) => {
        const body = JSON.stringify({ clientId: freshCode(), senderCode })
        return call(relay, 'POST', '/v1/sessions', { body: body + ' '.repeat(bytes - body.length) })
      }
      const [small, large] = [freshCode(), freshCode()]
      expect((await sized(small, 8_192)).status).toBe(201)
      expectProblem(await sized(large, 8_193), 'body_too_large')
      expectProblem(await tryToJoin(relay, large), 'session_not_found')
    })

    test('a body of unknown length is body_too_large as soon as it is longer', async () => {
      const attacker = await RawConnection.open(relay)
      attacker.write(
        'POST /v1/sessions HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n',
      )
      attacker.write(`4000\r\n${' '.repeat(0x4000)}\r\n`)
      expectProblem(await attacker.answer(), 'body_too_large')
      attacker.destroy()
    })

    test('headers of more than 8,192 bytes are headers_too_large', async () => {
      const attacker = await RawConnection.open(relay)
      attacker.write(`GET /healthz HTTP/1.1\r\nHost: relay\r\nX-Padding: ${'x'.repeat(8_192)}\r\n\r\n`)
      expectProblem(await attacker.answer(), 'headers_too_large')
    })

    test('what is not HTTP is invalid_request and closes the connection', async () => {
      for (const bytes of [
        'PAIR ME\r\n\r\n',
        '\u0016\u0003\u0001\u0002\u0000',
        'POST /v1/sessions HTTP/1.1\r\nHost: r\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n',
      ]) {
        const attacker = await RawConnection.open(relay)
        attacker.write(bytes)
        expectProblem(await attacker.answer(), 'invalid_request')
      }
    })

    test('a Content-Type without a body is invalid_request', async () => {
      const sender = await openSession(relay)
      const headers = { 'content-type': 'application/json' }
      const path = `/v1/sessions/${sender.sessionId}/code`
      const { token } = sender
      await expectRefused('invalid_request', [sender], () => call(relay, 'DELETE', path, { token, headers }))
    })

    test('a path or method that is not there is not_found', async () => {
      const sender = await openSession(relay)
      const requests: readonly (() => Promise<Answer>)[] = [
        () => call(relay, 'GET', '/v1'),
        () => call(relay, 'GET', '/v1/sessions'),
        () => call(relay, 'GET', '/v2/sessions'),
        () => sender.call('PUT'),
        () => sender.call('POST', '/code'),
        () => sender.call('GET', '/receivers'),
        () => sender.call('GET', '/channels/1'),
        () => sender.call('POST', '/channels/1/frames/1'),
        () => sender.call('GET', '/channels/1/frames'),
        () => sender.call('GET', '/attachment'),
      ]
      for (const request of requests) await expectRefused('not_found', [sender], request)
    })
  })
}
