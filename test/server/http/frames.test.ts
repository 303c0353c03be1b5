import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { POLL_LEASE_MS } from '../../../src/protocol/limits.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { call, sayRaw } from '../../support/http.ts'
import { DEFAULT_SETTINGS, publicKey } from '../../support/relay.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'

/** The calls of section 5.9 at the edge: what HTTP makes of them. What they do is tested in test/relay and test/conformance. */

const OCTETS = 'application/octet-stream'
const { maxFrameBytes } = DEFAULT_SETTINGS
const NOBODY = { sessionId: 'A'.repeat(22), token: 'A'.repeat(43) }

let relay: RunningRelay
let clock: FakeClock
let sender: { sessionId: string; token: string }
let receiver: { sessionId: string; token: string }

beforeEach(async () => {
  clock = new FakeClock()
  relay = await startRelay({ clock })
  const create = { clientId: 'c', senderCode: 'CODE' }
  sender = (await call(relay.url, 'POST', '/v1/sessions', { body: create })).json()
  const join = { senderCode: 'CODE', receiverCode: 'RCODE', publicKey: publicKey(1) }
  receiver = (await call(relay.url, 'POST', '/v1/receivers', { body: join })).json()
  const path = `/v1/sessions/${sender.sessionId}/receivers/RCODE/decision`
  await call(relay.url, 'PUT', path, { token: sender.token, body: { decision: 'approved' } })
})
afterEach(() => relay.close())

function frame(method: string, options: FrameOptions = {}) {
  const { sessionId = sender.sessionId, token = sender.token, channel = 1, seq = 1, type = OCTETS, headers } = options
  const { text = method === 'PUT' ? 'x' : undefined } = options
  return call(relay.url, method, `/v1/sessions/${sessionId}/channels/${channel}/frames/${seq}`, {
    token,
    ...(text === undefined ? {} : { raw: { text, type } }),
    ...(headers ? { headers } : {}),
  })
}

interface FrameOptions {
  readonly sessionId?: string
  readonly token?: string
  readonly channel?: number | string
  readonly seq?: number | string
  readonly text?: string
  readonly type?: string
  readonly headers?: Readonly<Record<string, string>>
}

describe('checks', () => {
  test('of a token do not wait for a body, which nobody is sent for', async () => {
    const calls = [
      ['PUT', '/channels/1/frames/1', OCTETS],
      ['PUT', '/attachment', 'application/json'],
      ['PUT', '/receivers/RCODE/decision', 'application/json'],
      ['DELETE', '/channels/1/frames/1', OCTETS],
      ...['', '/code', '/receivers/RCODE'].map((path) => ['DELETE', path, 'application/json']),
    ]
    for (const [method, path, type] of calls) {
      const attacker =
        `${method} /v1/sessions/${sender.sessionId}${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n` +
        `authorization: Bearer ${NOBODY.token}\r\ncontent-type: ${type}\r\ncontent-length: 5000\r\n\r\n`
      expect(await sayRaw(relay.port, attacker), path).toMatch(/^HTTP\/1\.1 401 /)
    }
  })

  test('come in the documented order: path, form of the token, session, token, body, role, state', async () => {
    const closed = { ...NOBODY, token: 'short' }
    const large = 'x'.repeat(maxFrameBytes)
    // Each has every fault of those below it.
    const steps: [string, FrameOptions][] = [
      ['invalid_request', { ...closed, channel: 0, text: large, type: 'text/plain' }],
      ['unauthorized', { ...closed, channel: 9, text: large, type: 'text/plain' }],
      ['session_not_found', { ...NOBODY, channel: 9, text: large, type: 'text/plain' }],
      ['unauthorized', { token: NOBODY.token, channel: 9, text: large, type: 'text/plain' }],
      ['unsupported_media_type', { token: receiver.token, channel: 9, text: large, type: 'text/plain' }],
      ['unsupported_media_type', { token: receiver.token, channel: 9, text: '{}', type: 'application/json' }],
      ['body_too_large', { token: receiver.token, channel: 9, text: large }],
      ['invalid_request', { token: receiver.token, channel: 9, text: '' }],
      ['forbidden', { token: receiver.token, channel: 9, seq: 9 }],
      ['frame_refused', { token: receiver.token, seq: 9 }],
    ]
    for (const [code, options] of steps) {
      const answer = await frame('PUT', options)
      expect([code, answer.problem().code]).toEqual([code, code])
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
  })

  test.each(['GET', 'DELETE'])('of %s are the same, without those of a body', async (method) => {
    const steps: [string, FrameOptions][] = [
      ['invalid_request', { ...NOBODY, token: 'short', seq: 0 }],
      ['unauthorized', { ...NOBODY, token: 'short' }],
      ['session_not_found', NOBODY],
      ['unauthorized', { token: NOBODY.token }],
      ['forbidden', { token: receiver.token, channel: 2 }],
      ['receiver_not_found', { channel: 2 }],
    ]
    for (const [code, options] of steps) expect((await frame(method, options)).problem().code).toBe(code)
  })

  test('of the deadline come with them: after it, before the sweep, it is session_gone', async () => {
    clock.advance(900_000)
    for (const method of ['PUT', 'GET', 'DELETE']) expect((await frame(method)).problem().code).toBe('session_gone')
    const attach = await call(relay.url, 'PUT', `/v1/sessions/${sender.sessionId}/attachment`, {
      token: sender.token,
      body: { channels: [] },
    })
    expect(attach.json()).toMatchObject({ state: 'closed', reason: 'expired' })
  })
})

describe('methods and origins', () => {
  test.each(['HEAD', 'POST', 'PATCH'])('%s is not there', async (method) => {
    expect((await frame(method, method === 'HEAD' ? {} : { text: 'x' })).status).toBe(404)
    const answer = await call(relay.url, method, `/v1/sessions/${sender.sessionId}/attachment`, { token: sender.token })
    expect(answer.status).toBe(404)
  })

  test('what a page gets it may read', async () => {
    await frame('PUT')
    const headers = { origin: 'https://app.example' }
    const fetched = await frame('GET', { token: receiver.token, headers })
    expect(fetched.headers.get('access-control-allow-origin')).toBe('*')
    expect(fetched.headers.get('x-content-type-options')).toBe('nosniff')
  })
})

describe('bodies', () => {
  test('in chunks are bounded like any other', async () => {
    // A window has room for a whole frame while both ends are there.
    for (const { sessionId, token } of [sender, receiver])
      await call(relay.url, 'PUT', `/v1/sessions/${sessionId}/attachment`, { token, body: { channels: [] } })
    const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`
    const head =
      `PUT /v1/sessions/${sender.sessionId}/channels/1/frames/1 HTTP/1.1\r\nhost: x\r\ncontent-type: ${OCTETS}\r\n` +
      `authorization: Bearer ${sender.token}\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n`
    const chunks = Math.ceil(maxFrameBytes / 0x10000)
    const attacker = `${head}${chunk.repeat(chunks)}0\r\n\r\n`
    expect(await sayRaw(relay.port, attacker)).toContain('"code":"body_too_large"')
    expect(await sayRaw(relay.port, `${head}${chunk}0\r\n\r\n`)).toContain('"received":1')
  })

  test('of the commands are still bounded at 8 KiB, and still JSON', async () => {
    const path = `/v1/sessions/${sender.sessionId}/attachment`
    const { token } = sender
    const attacker = JSON.stringify({ channels: [], padding: 'x'.repeat(8_192) })
    const answers = [
      await call(relay.url, 'PUT', path, { token, raw: { text: attacker, type: 'application/json' } }),
      await call(relay.url, 'PUT', path, { token, raw: { text: '{"channels":[]}', type: OCTETS } }),
    ]
    expect(answers.map((each) => each.problem().code)).toEqual(['body_too_large', 'unsupported_media_type'])
  })
})

describe('a relay that stops', () => {
  const poll = (version: string) => {
    const query = `?version=${version}&waitMs=25000&channels=1.0.0`
    return call(relay.url, 'GET', `/v1/sessions/${sender.sessionId}${query}`, { token: sender.token })
  }
  const attach = async () => {
    const path = `/v1/sessions/${sender.sessionId}/attachment`
    const answer = await call(relay.url, 'PUT', path, { token: sender.token, body: { channels: [] } })
    return answer.json<{ version: string }>()
  }

  test('answers who polls, and keeps no connection of theirs', async () => {
    const { version } = await attach()
    const asked = new Promise((resolve) => relay.server.once('request', resolve))
    const held = poll(version)
    await asked
    const closed = relay.close()
    const answer = await held
    expect(answer.json()).toMatchObject({ state: 'closed', reason: 'shutting_down' })
    expect(answer.headers.get('connection')).toBe('close')
    await closed
  })

  test('goes on listening for half a second for who is between two polls', async () => {
    const { version } = await attach()
    const closed = relay.close()
    expect((await poll(version)).json()).toMatchObject({ state: 'closed', reason: 'shutting_down' })
    await closed
  })

  test('does not wait for who has not asked for a minute', async () => {
    await attach()
    clock.advance(POLL_LEASE_MS)
    await relay.tick()
    const closed = relay.close()
    await closed
    await expect(poll('1')).rejects.toThrow()
  })
})
