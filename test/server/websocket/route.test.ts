import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { ATTACH_MAX_BYTES } from '../../../src/protocol/limits.ts'
import type { PeerSocket } from '../../../src/relay/ports.ts'
import { BINARY, TEXT, wsFrame } from '../../conformance/raw.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FakeSecrets } from '../../support/fake-secrets.ts'
import { Gate } from '../../support/gate.ts'
import { call, sayRaw } from '../../support/http.ts'
import { RawWebSocket } from '../../support/raw-web-socket.ts'
import { publicKey } from '../../support/relay.ts'
import { NO_SERVER_STATE, type RunningRelay, type ServerOptions, startRelay } from '../../support/server.ts'
import { WireSocket } from '../../support/wire-socket.ts'

/** The opcode of a fragment behind the first. */
const CONTINUATION = 0
const strangers = new FakeSecrets(1_000_000)
const clock = new FakeClock()
let relay: RunningRelay
let made = 0

const restart = async (options: ServerOptions) => {
  await relay.close()
  relay = await startRelay({ clock, ...options })
}
beforeEach(async () => {
  relay = await startRelay({ clock })
})
afterEach(() => relay.close())

interface Member {
  readonly sessionId: string
  readonly token: string
}

/** A session with approved receivers, nobody attached yet. */
async function pair(receivers = 1): Promise<{ sender: Member; receivers: Member[] }> {
  const senderCode = `code-${++made}`
  const { sessionId, token } = await relay.relay.createSession({ clientId: 'c', senderCode, maxReceivers: 8 }, '')
  const joined: Member[] = []
  for (let i = 0; i < receivers; i++) {
    const receiverCode = `receiver-${++made}`
    joined.push(await relay.relay.join({ senderCode, receiverCode, publicKey: publicKey(made) }, ''))
    await relay.relay.decide(sessionId, token, receiverCode, { decision: 'approved' })
  }
  return { sender: { sessionId, token }, receivers: joined }
}

/** Both ends of an approved channel, attached. */
async function attached() {
  const { sender, receivers } = await pair()
  const from = await WireSocket.attach(relay.url, sender)
  return { sender, from, to: await WireSocket.attach(relay.url, receivers[0] ?? sender) }
}

/** Resolves when the relay's own books say so: what a test cannot see from outside it waits for here. */
async function until(true_: () => boolean): Promise<void> {
  while (!true_()) await new Promise((resolve) => setImmediate(resolve))
}

describe('the upgrade', () => {
  const refusal = async (wire: WireSocket) => {
    const [, response] = (await once(wire.socket, 'unexpected-response')) as [
      unknown,
      import('node:http').IncomingMessage,
    ]
    let body = ''
    for await (const chunk of response) body += chunk
    wire.cut()
    return { status: response.statusCode, problem: JSON.parse(body) }
  }

  test('with a session id of the wrong form is invalid_request, at another path not_found', async () => {
    const wrong = new WireSocket(relay.url, 'short')
    expect(await refusal(wrong)).toMatchObject({ status: 400, problem: { code: 'invalid_request' } })
    const elsewhere = new WireSocket(relay.url, `${strangers.sessionId()}/elsewhere`)
    expect(await refusal(elsewhere)).toMatchObject({ status: 404, problem: { code: 'not_found' } })
    expect(relay.counters()).toEqual(NO_SERVER_STATE)
  })

  const upgrade = 'host: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n'
  const key = `sec-websocket-key: ${Buffer.alloc(16).toString('base64')}\r\nsec-websocket-protocol: pairlay.v1\r\n\r\n`
  const refusedUpgrades: [what: string, request: string, answer: string][] = [
    ['to a path that takes none', `GET /healthz HTTP/1.1\r\n${upgrade}${key}`, 'HTTP/1.1 200'],
    ['to a path nobody knows', `GET /nowhere HTTP/1.1\r\n${upgrade}${key}`, 'HTTP/1.1 404'],
    ['to a malformed path', `GET /%zz HTTP/1.1\r\n${upgrade}${key}`, 'HTTP/1.1 400'],
    ['to an endless path', `GET /v1/sessions/${'x'.repeat(999)} HTTP/1.1\r\n${upgrade}${key}`, 'HTTP/1.1 400'],
    ['without a token', `GET /v1/sessions/${'A'.repeat(22)} HTTP/1.1\r\n${upgrade}${key}`, 'HTTP/1.1 401'],
    [
      'without a key',
      `GET /v1/sessions/${'A'.repeat(22)}/socket HTTP/1.1\r\n${upgrade}sec-websocket-protocol: pairlay.v1\r\n\r\n`,
      'HTTP/1.1 400',
    ],
    [
      'with a body, to HTTP/2',
      'POST /v1/sessions HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}',
      'HTTP/1.1 400',
    ],
  ]
  for (const [what, request, expected] of refusedUpgrades) {
    test(`${what} is answered, and its connection ends`, async () => {
      const attacker = await sayRaw(relay.port, request)
      expect(attacker.slice(0, expected.length)).toBe(expected)
      expect(relay.counters()).toEqual(NO_SERVER_STATE)
      await relay.close()
    })
  }
})

describe('a socket', () => {
  test('that sends many frames in one packet has them relayed in order', async () => {
    const { from, to } = await attached()
    from.socket.setMaxListeners(0)
    const raw = (from.socket as unknown as { _socket: import('node:net').Socket })._socket
    raw.cork()
    for (let seq = 1; seq <= 500; seq++) from.data(1, seq, `frame ${seq}`)
    raw.uncork()
    await to.until(() => to.received === 500)
    expect(to.texts).toEqual(Array.from({ length: 500 }, (_, i) => `frame ${i + 1}`))
    from.cut()
    to.cut()
  })

  for (const [what, bytes] of [
    ['in one frame', wsFrame(TEXT, 'x'.repeat(ATTACH_MAX_BYTES + 1))],
    ['by its header alone', wsFrame(BINARY, '', { declared: ATTACH_MAX_BYTES + 1 })],
    ['by a header of all that a frame may have', wsFrame(BINARY, '', { declared: 262_272 })],
    [
      'in fragments',
      Buffer.concat([
        wsFrame(TEXT, 'x'.repeat(ATTACH_MAX_BYTES), { flags: 0 }),
        wsFrame(CONTINUATION, 'x', { flags: 0 }),
      ]),
    ],
  ] as const) {
    test(`whose first message is longer than an attach may be, ${what}, is closed with 1009 before that has come`, async () => {
      const { sender } = await pair()
      const attacker = new RawWebSocket(relay.port, sender.sessionId, bytes)
      expect(await attacker.ended).toMatchObject({ code: 1009 })
    })
  }

  test('may send messages of the full size as soon as it has attached, whole and in fragments', async () => {
    const { from, to } = await attached()
    const text = 'x'.repeat(20_000)
    from.data(1, 1, text)
    const frame = Buffer.concat([Buffer.from([1, 0, 0, 1, 0, 0, 0, 2]), Buffer.from(text)])
    from.socket.send(frame.subarray(0, 10_000), { fin: false })
    from.socket.send(frame.subarray(10_000), { fin: true })
    await to.until(() => to.received === 2)
    expect(to.texts).toEqual([text, text])
    from.cut()
    to.cut()
  })

  test('that sends a frame larger than it may in fragments is closed with 1009', async () => {
    const { sender } = await pair()
    const attacker = await WireSocket.attach(relay.url, sender)
    for (let i = 0; i < 3; i++) attacker.socket.send(new Uint8Array(100_000), { binary: true, fin: false })
    expect((await attacker.closed()).code).toBe(1009)
    await until(() => relay.counters().sockets === 0)
  })

  test('is pinged after 25 s, and cut without a close frame when it leaves two pings unanswered', async () => {
    const { sender } = await pair()
    const wire = new WireSocket(relay.url, sender.sessionId, ['pairlay.v1'], { autoPong: false })
    await wire.opened()
    wire.send(JSON.stringify({ type: 'attach', token: sender.token, channels: [] }))
    await wire.until(() => wire.views.length > 0)
    for (let ping = 1; ping <= 2; ping++) {
      const pinged = once(wire.socket, 'ping')
      clock.advance(25_000)
      await relay.tick()
      await pinged
    }
    clock.advance(25_000)
    await relay.tick()
    expect((await wire.closed()).code).toBe(1006)
    await until(() => relay.counters().sockets === 0)
  })

  test('that answers its pings stays', async () => {
    const { sender } = await pair()
    const wire = await WireSocket.attach(relay.url, sender)
    for (let i = 0; i < 5; i++) {
      const pinged = once(wire.socket, 'ping')
      clock.advance(25_000)
      await relay.tick()
      await pinged
      // When this frame has arrived, the pong before it has.
      wire.data(1, i + 1, 'x')
      await until(() => relay.counters().unackedBytes === 256 * (i + 1))
    }
    expect(wire.socket.readyState).toBe(WebSocket.OPEN)
    wire.cut()
  })
})

describe('a receiver that does not read', () => {
  const MIB = 1024 * 1024

  test('is told congested by the transport, drained only after that, and gets all in order when it reads again', async () => {
    await restart({ settings: { maxFrameBytes: MIB, windowBytes: 64 * MIB, memoryBudgetBytes: 256 * MIB } })
    const { sender, receivers } = await pair()
    const events: string[] = []
    const domain = relay.relay
    const connectReal = domain.connect.bind(domain)
    domain.connect = (sessionId: string, socket: PeerSocket) => {
      const connection = connectReal(sessionId, {
        send: (data) => {
          const outcome = socket.send(data)
          events.push(outcome)
          return outcome
        },
        ping: () => socket.ping(),
        close: (code) => socket.close(code),
        destroy: () => socket.destroy(),
      })
      const drainedReal = connection.drained.bind(connection)
      connection.drained = () => {
        events.push('drained')
        drainedReal()
      }
      return connection
    }
    const stuck = await WireSocket.attach(relay.url, receivers[0] ?? sender)
    stuck.socket.pause()
    await relay.relay.retireCode(sender.sessionId, sender.token)
    events.length = 0
    const from = await WireSocket.attach(relay.url, sender)
    for (let seq = 1; seq <= 48; seq++) {
      from.data(1, seq, new Uint8Array(MIB - 8))
      await until(() => relay.counters().unackedBytes >= seq * MIB)
      await from.until(() => seq < 2 || (from.view.channels[0]?.window ?? 0) > seq * MIB || seq >= 32)
    }
    expect(events).toContain('congested')
    stuck.socket.resume()
    await stuck.until(() => stuck.received === 48)
    const seqs = stuck.messages.flatMap((each) => (each.kind === 'data' ? [each.seq] : []))
    expect(seqs).toEqual(Array.from({ length: 48 }, (_, i) => i + 1))
    // Between a congested send and the next one of that socket lies its drain; the sender's sends are never congested.
    let congested = false
    for (const event of events) {
      if (event === 'drained') {
        expect(congested).toBe(true)
        congested = false
      } else if (event === 'congested') {
        expect(congested).toBe(false)
        congested = true
      }
    }
    from.cut()
    stuck.cut()
  })
})

describe('stopping', () => {
  test('closes every socket with the last view and 1001, and new ones with 1001', async () => {
    const sessions = new Gate()
    await restart({ wrapSessions: (store) => sessions.behind(store) })
    const { sender, from, to } = await attached()
    const unattached = new WireSocket(relay.url, sender.sessionId)
    await unattached.opened()
    await until(() => relay.counters().sockets === 3)
    // The drain waits for the store, so that there is a time to look at.
    sessions.hold('update')
    const closing = relay.close()
    await until(() => sessions.waiting > 0)
    const late = new WireSocket(relay.url, sender.sessionId)
    await late.opened()
    expect(await late.closed()).toEqual({ code: 1001, reason: 'going_away' })
    sessions.open()
    for (const wire of [from, to]) {
      expect(await wire.closed()).toEqual({ code: 1001, reason: 'going_away' })
      expect(wire.view).toMatchObject({ state: 'closed', reason: 'shutting_down' })
    }
    expect(await unattached.closed()).toEqual({ code: 1001, reason: 'going_away' })
    await closing
    await until(() => relay.counters().sockets === 0 && relay.counters().webSockets === 0)
    expect(relay.counters()).toMatchObject({ grantedBytes: 0, mailboxes: 0 })
  })

  for (const [what, text] of Object.entries({
    'that has said nothing': '',
    'in the middle of its headers': 'GET /healthz HTTP/1.1\r\nhost:',
    'in the middle of a body':
      'POST /v1/sessions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{',
    'that is kept alive': 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n',
  })) {
    test(`is not held up by a connection ${what}`, async () => {
      const attacker = connect(relay.port, '127.0.0.1')
      attacker.on('error', () => {})
      await once(attacker, 'connect')
      attacker.write(text)
      await call(relay.url, 'GET', '/healthz')
      await relay.close()
      attacker.destroy()
    })
  }

  test('is not held up by a WebSocket that has stopped reading and answers no close', async () => {
    const { sender, receivers } = await pair()
    const stuck = await WireSocket.attach(relay.url, receivers[0] ?? sender)
    const unattached = new WireSocket(relay.url, sender.sessionId)
    await unattached.opened()
    for (const attacker of [stuck, unattached]) attacker.socket.pause()
    await relay.close()
    await until(() => relay.counters().webSockets === 0)
    stuck.cut()
    unattached.cut()
  })
})
