import { once } from 'node:events'
import https from 'node:https'
import { type AddressInfo, Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { Channel } from '../../src/client/link/channel.ts'
import { HandshakeSteps } from '../../src/client/pairing/handshake-steps.ts'
import { environmentWith } from '../../src/client/runtime.ts'
import { FakeWorld } from './support.ts'

/** A side of a handshake that waits for a message. */
function timeoutOf(presentMs: number) {
  const { environment, time } = new FakeWorld()
  let fired = 0
  const timeout = new HandshakeSteps(environment, new Channel(1, 4_096, environment))
  void timeout.receive({ presentMs }, () => fired++)
  return { timeout, time, fired: () => fired }
}

describe('a time-out that can be paused', () => {
  test('running it twice changes nothing, nor does pausing it twice', async () => {
    const { timeout, time, fired } = timeoutOf(20_000)
    timeout.setPresence(true)
    await time.advance(10_000)
    timeout.setPresence(true)
    expect(time.outstanding).toBe(1)
    timeout.setPresence(false)
    timeout.setPresence(false)
    timeout.setPresence(true)
    await time.advance(9_999)
    expect(fired()).toBe(0)
    await time.advance(1)
    expect(fired()).toBe(1)
  })

  test('fires once, whatever it is told afterwards', async () => {
    const { timeout, time, fired } = timeoutOf(20_000)
    timeout.setPresence(true)
    await time.advance(20_000)
    timeout.setPresence(false)
    timeout.setPresence(true)
    await time.advance(100_000)
    expect(fired()).toBe(1)
    expect(time.outstanding).toBe(0)
  })
})

describe('the environment of this runtime', () => {
  test('has a monotonic clock, timers, jitter within bounds and fresh random bytes', async () => {
    const environment = await environmentWith()
    const before = environment.now()
    await new Promise<void>((resolve) => environment.setTimeout(resolve, 1))
    expect(environment.now()).toBeGreaterThan(before)
    const cleared = environment.setTimeout(() => expect.unreachable('it was cleared'), 0)
    environment.clearTimeout(cleared)
    expect(environment.jitter()).toBeGreaterThanOrEqual(0)
    expect(environment.jitter()).toBeLessThan(1)
    const [one, other] = [environment.random(32), environment.random(32)]
    expect(one).toHaveLength(32)
    expect(one).not.toEqual(other)
  })

  test('sends frames as they are, under a mask of zeros', async () => {
    const { openWebSocket } = await environmentWith()
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    try {
      const came = new Promise<Buffer>((resolve) => {
        server.on('connection', (_socket, request) => request.socket.prependOnceListener('data', resolve))
      })
      await once(server, 'listening')
      const socket = openWebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, 'any')
      socket.onopen = () => socket.send(Uint8Array.of(7, 8, 9))
      expect([...(await came)]).toEqual([0x82, 0x83, 0, 0, 0, 0, 7, 8, 9])
      socket.close()
    } finally {
      server.close()
    }
  })

  test("opens sockets with TLS through the process's own agent, which a proxy may be behind, and others by themselves", async () => {
    const asked: string[] = []
    const usual = https.globalAgent
    https.globalAgent = new (class extends https.Agent {
      override createConnection(options: https.AgentOptions) {
        asked.push(`${options.host}:${options.port}`)
        return new Socket()
      }
    })()
    try {
      const { openWebSocket } = await environmentWith()
      const urls = ['wss://relay.invalid:8443/v1/sessions/id/socket', 'ws://127.0.0.1:1/v1/sessions/id/socket']
      for (const socket of urls.map((url) => openWebSocket(url, 'any'))) {
        socket.onerror = () => {}
        socket.close()
      }
      expect(asked).toEqual(['relay.invalid:8443'])
    } finally {
      https.globalAgent = usual
    }
  })
})
