import { setTimeout as turn } from 'node:timers/promises'
import type { Environment } from '../../../src/client/environment.ts'
import { HttpSocket } from '../../../src/client/link/http-socket.ts'
import { ERRORS } from '../../../src/protocol/errors.ts'
import { inOnePiece } from '../../../src/relay/pieces.ts'
import type { RelaySettings } from '../../../src/relay/relay.ts'
import { readConfig } from '../../../src/server/config.ts'
import { FakeTime, settled } from '../../client/fake-time.ts'
import { DeviceWorld } from '../../e2e/world.ts'
import { startRedis } from '../../support/redis-server.ts'
import { type RunningRelay, startNode, startRelay } from '../../support/server.ts'
import { Plug } from './plug.ts'
import type { Seed } from './seed.ts'

/** A real relay, and the addresses that reach it. Time is moved by hand, for the relay and for all devices. */
export interface World {
  readonly time: FakeTime
  /** The network of a device at an address. Of two nodes it gets the requested one. */
  device(address: string, seed: Seed, node?: 'first' | 'last'): Promise<Environment>
  /** Lets time pass. What follows from it has happened before it continues. */
  pass(ms: number): Promise<void>
  end(): Promise<void>
}

export const RELAY_URL = 'http://relay.test'
/** Those of an operator who sets nothing. How often an address may ask is up to whoever plays one: its clock is not moved. */
const SETTINGS: RelaySettings = readConfig({})
const TICK_MS = 1_000
/** Turns without anything under way after which nothing more can follow by itself. */
const QUIET_TURNS = 4

/** A relay alone, asked without any network. */
export async function inMemory(changes: Partial<RelaySettings> = {}): Promise<World> {
  const time = new FakeTime()
  const settings = { ...SETTINGS, ...changes }
  const relay = await startRelay({ settings, clock: { now: () => Math.floor(time.now()) }, logLevel: 'error' })
  let underWay = 0
  const quiet = async () => {
    for (let turns = 0; turns < QUIET_TURNS; turns = underWay > 0 ? 0 : turns + 1) await settled()
  }
  const asking =
    (address: string): Environment['fetch'] =>
    async (url, init) => {
      // A poll that is held waits for something to happen.
      const counts = /waitMs=0|^(?!.*waitMs=)/.test(url) ? 1 : 0
      underWay += counts
      try {
        return await inject(relay, address, url, init)
      } finally {
        underWay -= counts
      }
    }
  tickOf(time, async () => relay.tick())
  return {
    time,
    device: async (address, seed) => ({
      fetch: asking(address),
      openWebSocket: (url) => plugged(relay, new URL(url).pathname.split('/')[3] ?? ''),
      openHttpSocket: (sessionUrl, environment) => new HttpSocket(sessionUrl, environment),
      now: time.now,
      setTimeout: time.setTimeout,
      clearTimeout: time.clearTimeout,
      random: (length) => seed.bytes(length),
      jitter: () => 0.5,
    }),
    pass: (ms) => passed(time, ms, quiet),
    end: () => relay.close(),
  }
}

/** Two nodes and their Redis on loopback: devices ask for one or the other. */
export async function overTwoNodes(): Promise<World> {
  const time = new FakeTime()
  const clock = { now: () => Math.floor(time.now()) }
  const redis = await startRedis()
  const options = { settings: SETTINGS, clock, logLevel: 'error', trustProxy: ['127.0.0.1'] } as const
  const nodes = [await startNode(redis.url, options), await startNode(redis.url, options)] as const
  const tick = async () => {
    for (const node of nodes) await node.tick()
  }
  await tick()
  await tick()
  tickOf(time, tick)
  const devices: DeviceWorld[] = []
  /** All are in one process: after some round trips through both nodes and Redis, what was under way has arrived. */
  const quiet = async () => {
    for (let turns = 0; turns < QUIET_TURNS; turns = devices.some(({ requests }) => requests > 0) ? 0 : turns + 1) {
      for (const { url } of nodes) await (await fetch(`${url}/readyz`)).text()
      await redis.command('PING')
      await turn(1)
    }
  }
  return {
    time,
    device: async (address, seed, node = 'first') => {
      const device = await DeviceWorld.create(time)
      devices.push(device)
      device.random = (length) => seed.bytes(length)
      device.jitter = 0.5
      const { url: own } = node === 'first' ? nodes[0] : nodes[1]
      const at = (url: string) =>
        url.replace(RELAY_URL, own).replace(RELAY_URL.replace('http', 'ws'), own.replace('http', 'ws'))
      device.address = () => address
      const { fetch: ask, openWebSocket, ...rest } = device.environment as Environment
      return {
        ...rest,
        fetch: (url, init) => ask(at(url), init),
        openWebSocket: (url, protocol) => openWebSocket(at(url), protocol),
      }
    },
    pass: (ms) => passed(time, ms, quiet),
    end: async () => {
      for (const device of devices) for (const socket of device.openSockets) socket.cut()
      await Promise.all(nodes.map((node) => node.close()))
      await redis.stop()
    },
  }
}

function tickOf(time: FakeTime, tick: () => Promise<void>): void {
  time.setTimeout(() => {
    void tick()
    tickOf(time, tick)
  }, TICK_MS)
}

async function passed(time: FakeTime, ms: number, quiet: () => Promise<void>): Promise<void> {
  await quiet()
  for (const end = time.now() + ms; ; ) {
    const [next] = time.due
    if (next === undefined || time.now() + next > end) {
      await time.advance(end - time.now())
      return quiet()
    }
    await time.advance(next)
    await quiet()
  }
}

async function inject({ app }: RunningRelay, address: string, url: string, init: RequestInit): Promise<Response> {
  const { pathname, search } = new URL(url)
  const answer = await app.inject({
    method: (init.method ?? 'GET') as 'GET',
    url: pathname + search,
    remoteAddress: address,
    headers: Object.fromEntries(new Headers(init.headers)),
    ...(init.signal ? { signal: init.signal } : {}),
    ...(init.body === undefined || init.body === null
      ? {}
      : { payload: typeof init.body === 'string' ? init.body : Buffer.from(init.body as Uint8Array) }),
  })
  const { statusCode: status, rawPayload } = answer
  const headers = Object.entries(answer.headers).map(([name, value]): [string, string] => [name, String(value)])
  return new Response(status === 204 ? null : new Uint8Array(rawPayload), { status, headers })
}

/** A socket to the relay's domain, and no network between. */
function plugged({ relay }: RunningRelay, sessionId: string): Plug {
  const plug = new Plug(
    (data) => connection.receive(data),
    () => connection.gone(),
  )
  const connection = relay.connect(sessionId, {
    send: (data) => {
      plug.say(typeof data === 'string' ? data : inOnePiece(data))
      return 'sent'
    },
    ping: () => queueMicrotask(() => connection.pong()),
    close: (code) => plug.drop(ERRORS[code].closeCode),
    destroy: () => plug.drop(),
  })
  return plug
}
