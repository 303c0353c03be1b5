import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { admit, bytesOf, collect, openSender, outcomeOf, pair, type SendingDevice, sha256 } from '../../e2e/people.ts'
import { DeviceWorld } from '../../e2e/world.ts'
import { hasRedis, type RedisServer, startRedis } from '../../support/redis-server.ts'
import { publicKey } from '../../support/relay.ts'
import { type RelayProcess, startRelayProcess } from '../../support/relay-process.ts'
import { type Balancer, HAPROXY, isInstalled, NGINX, startBalancer } from './balancer.ts'

const MIB = 1024 * 1024
/** Enough that two nodes both get some of them: one of them would get none once in a hundred million runs. */
const SENDERS = 28

for (const kind of [HAPROXY, NGINX]) {
  const here = (hasRedis && isInstalled(kind)) || process.env.REQUIRE_ALL === '1'
  const reason = here ? '' : ` (skipped: there is no ${hasRedis ? kind.name : 'redis-server'} here)`

  describe.skipIf(!here)(`two nodes behind ${kind.name}, with the file that deploy/ has${reason}`, () => {
    let redis: RedisServer
    let nodes: [RelayProcess, RelayProcess]
    let balancer: Balancer
    const started: { readonly stop: () => Promise<unknown> }[] = []
    beforeEach(async () => {
      redis = await startRedis()
      started.push(redis)
      const settings = { REDIS_URL: redis.url, MAX_SESSIONS_PER_CLIENT: '1000', TRUST_PROXY: '127.0.0.1' }
      nodes = await Promise.all([startRelayProcess(settings), startRelayProcess(settings)])
      started.push(...nodes.map(({ kill }) => ({ stop: kill })))
      for (const { url } of nodes) await expect.poll(async () => (await fetch(`${url}/readyz`)).status).toBe(200)
    })
    afterEach(async () => {
      for (const { stop } of started.splice(0).toReversed()) await stop()
    })

    async function balance(options?: { readonly goingRound: boolean }): Promise<void> {
      balancer = await startBalancer(kind, nodes, options)
      started.push(balancer)
    }
    const sockets = async (node: RelayProcess) => (await node.state()).counters.sockets
    /** How often Redis was asked to keep a frame. */
    const framesInRedis = async () => {
      const stats = String(await redis.command('INFO', 'commandstats'))
      return Number(/cmdstat_xadd:calls=(\d+)/.exec(stats)?.[1] ?? 0)
    }

    /** Approves a receiver, and sends it something. */
    async function handOver(device: SendingDevice, bytes = 3 * MIB): Promise<void> {
      const { receiver } = await admit(balancer.url, device)
      const received = collect(receiver)
      const payload = bytesOf(bytes)
      expect((await device.sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([bytes])
      await device.sender.close()
      expect((await received).flat()).toMatchObject([{ sha256: sha256(payload), bytes }])
    }

    test('sessions go to both, the two ends of each to the same: no frame goes through Redis', async () => {
      await balance()
      const devices = await Promise.all(Array.from({ length: SENDERS }, () => openSender(balancer.url)))
      let attached: number[] = []
      await expect
        .poll(async () => {
          attached = await Promise.all(nodes.map(sockets))
          return attached[0] + attached[1]
        })
        .toBe(SENDERS)
      for (const each of attached) expect(each).toBeGreaterThan(0)
      const [first, second, third, ...rest] = devices
      for (const device of [first, second, third]) await handOver(device)
      for (const { sender } of rest) sender.cancel()
      expect(await framesInRedis()).toBe(0)
      for (const { failures } of nodes) expect(failures).toEqual([])
    })

    test('every call may go to the next one: then frames go through Redis, and everything still arrives', async () => {
      await balance({ goingRound: true })
      for (let round = 0; round < 4; round++) {
        const device = await openSender(balancer.url)
        // A call more or less puts the two ends on one node or on two.
        if (round % 2 === 0) await fetch(`${balancer.url}/healthz`)
        await handOver(device)
      }
      expect(await framesInRedis()).toBeGreaterThan(0)
      for (const { failures } of nodes) expect(failures).toEqual([])
    })

    test('every call of a device without WebSockets may also go to the next one, and it has to attach once', async () => {
      await balance({ goingRound: true })
      for (const withoutSockets of ['sender', 'receiver', 'both'] as const) {
        const told: string[] = []
        const world = await DeviceWorld.create()
        world.webSocketsPass = false
        const options = { world, onStatus: (status: string) => told.push(status) }
        const device = await openSender(balancer.url, withoutSockets === 'receiver' ? {} : options)
        const { receiver } = await admit(balancer.url, device, withoutSockets === 'sender' ? {} : options)
        const received = collect(receiver)
        const payload = bytesOf(24 * MIB)
        expect((await device.sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([payload.length])
        await device.sender.close()
        expect((await received).flat()).toMatchObject([{ sha256: sha256(payload) }])
        const once = ['reconnecting', 'connected']
        expect(told.toSorted(), withoutSockets).toEqual(
          (withoutSockets === 'both' ? [...once, ...once] : once).toSorted(),
        )
      }
      for (const { failures } of nodes) expect(failures).toEqual([])
    })

    // Only Linux has the whole of 127.0.0.0/8 from the start.
    const reasonForOne = process.platform === 'linux' ? '' : ' (skipped: there is one loopback address here)'
    test.skipIf(reasonForOne !== '')(
      `the relays are told where each client comes from, and no client tells them${reasonForOne}`,
      async () => {
        await balance({ goingRound: true })
        const [sender, failing, attacker, other] = ['127.0.0.1', '127.0.0.2', '127.0.0.2', '127.0.0.3'].map(
          (from) => new Client(balancer.url, from),
        )
        const { sessionId, token } = await sender.open('the-code')
        for (let i = 0; i < 5; i++) {
          expect(await failing.join('the-code', `receiver-${i}`)).toBe(201)
          await sender.deny(sessionId, token, `receiver-${i}`)
        }
        expect(await attacker.join('the-code', 'again')).toBe(404)
        expect(await attacker.join('the-code', 'again', { 'x-forwarded-for': '127.0.0.3' })).toBe(404)
        expect(await other.join('the-code', 'other')).toBe(201)
      },
    )

    for (const [what, end] of [
      ['is killed', (node: RelayProcess) => node.kill()],
      ['is stopped', (node: RelayProcess) => node.stop()],
    ] as const) {
      test(`one that ${what} is left out, and the transfer that it had under way continues`, async () => {
        await balance()
        const { sender, receiver } = await pair(balancer.url)
        const [has] = await Promise.all(nodes.map(sockets))
        expect([0, 2]).toContain(has)
        const [busy, other] = has === 2 ? nodes : nodes.toReversed()
        const payload = bytesOf(32 * MIB)
        let ended: Promise<unknown> | undefined
        const received = collect(receiver, {
          onProgress: ({ bytes }) => {
            if (bytes > 4 * MIB) ended ??= end(busy)
          },
        })
        expect((await sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([payload.length])
        await sender.close()
        expect((await received).flat()).toMatchObject([{ sha256: sha256(payload), bytes: payload.length }])
        expect(ended).toBeDefined()
        await ended
        expect(busy.exitCode()).toBeDefined()
        for (let n = 0; n < 4; n++) await handOver(await openSender(balancer.url), MIB)
        expect(other.failures).toEqual([])
      })
    }
  })
}

/** A client that has an address of its own. */
class Client {
  readonly #url: string
  readonly #from: string

  constructor(url: string, from: string) {
    this.#url = url
    this.#from = from
  }

  async open(senderCode: string): Promise<{ readonly sessionId: string; readonly token: string }> {
    const { text } = await this.#call('POST', '/v1/sessions', { clientId: 'c', senderCode })
    return JSON.parse(text)
  }

  async join(senderCode: string, receiverCode: string, headers: OutgoingHttpHeaders = {}): Promise<number> {
    const body = { senderCode, receiverCode, publicKey: publicKey(1) }
    return (await this.#call('POST', '/v1/receivers', body, headers)).status
  }

  async deny(sessionId: string, token: string, receiverCode: string): Promise<void> {
    const body = { decision: 'denied', reason: 'handshake_failed' }
    const path = `/v1/sessions/${sessionId}/receivers/${receiverCode}/decision`
    expect((await this.#call('PUT', path, body, { authorization: `Bearer ${token}` })).status).toBe(204)
  }

  async #call(method: string, path: string, body: unknown, headers: OutgoingHttpHeaders = {}) {
    const asked = request(this.#url + path, {
      method,
      localAddress: this.#from,
      headers: { 'content-type': 'application/json', ...headers },
    })
    asked.end(JSON.stringify(body))
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    return { status: answer.statusCode ?? 0, text: (await answer.toArray()).join('') }
  }
}
