import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { decodeFrame, FRAME_ACK } from '../../src/protocol/frame.ts'
import type { MailboxKey, MailboxStore } from '../../src/relay/ports.ts'
import { FakeTime } from '../client/fake-time.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import type { RunningRelay } from '../support/server.ts'
import { hasFrames } from '../support/setting.ts'
import {
  admit,
  bytesOf,
  collect,
  errorOf,
  join,
  nextRequest,
  openSender,
  outcomeOf,
  pair,
  positions,
  type ReceivingDevice,
  type SendingDevice,
  sha256,
} from './people.ts'
import { RawSocket } from './raw-peers.ts'
import { setting, startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

/** Whatever happens to the sockets, nothing is lost, nothing comes twice, and nobody has to help. */

const PAYLOAD = bytesOf(2_600_003)
const DIGEST = sha256(PAYLOAD)
const SMALL = bytesOf(70_000)
const SMALL_DIGEST = sha256(SMALL)
const SIDES = ['sender', 'receiver'] as const
type SideName = (typeof SIDES)[number]

let relay: TestRelay
let proxies: Record<SideName, CuttingProxy>

beforeAll(async () => {
  relay = await startRelay()
  proxies = { sender: await CuttingProxy.start(relay.port), receiver: await CuttingProxy.start(relay.portForReceivers) }
})
afterAll(async () => {
  await relay.close()
  for (const side of SIDES) await proxies[side].close()
})

/** Pairs, each device behind a network of its own. */
async function pairBehindProxies(): Promise<{ device: SendingDevice; joined: ReceivingDevice }> {
  const device = await openSender(proxies.sender.url)
  const joined = await admit(proxies.receiver.url, device)
  return { device, joined }
}

/** Carries a transfer from the send to the goodbye, and checks all of it. */
async function expectDelivery(
  { sender }: Pick<SendingDevice, 'sender'>,
  { receiver }: Pick<ReceivingDevice, 'receiver'>,
  payload = PAYLOAD,
  digest = DIGEST,
): Promise<void> {
  const collecting = collect(receiver)
  const receipts = await sender.send([bytesSource(payload, 'a')])
  expect(receipts.map(outcomeOf)).toEqual([payload.length])
  await sender.close()
  expect(await collecting).toEqual([[{ path: 'a', size: payload.length, bytes: payload.length, sha256: digest }]])
}

describe('a cut in the middle of a transfer', () => {
  describe.each(SIDES)('of the %s’s socket', (side) => {
    const where = positions(12, PAYLOAD.length, side === 'sender' ? 11 : 22)

    test(`loses nothing at any of 12 bytes: ${where.slice(0, 3).join(', ')} …`, async () => {
      for (const position of where) {
        const { device, joined } = await pairBehindProxies()
        const { cuts } = proxies[side]
        proxies[side].cutAfter(position)
        await expectDelivery(device, joined)
        expect(proxies[side].cuts, `cut after ${position} bytes`).toBe(cuts + 1)
      }
    })
  })

  test('of both sockets at once loses nothing either', async () => {
    for (const position of positions(4, PAYLOAD.length, 33)) {
      const { device, joined } = await pairBehindProxies()
      for (const side of SIDES) proxies[side].cutAfter(position)
      await expectDelivery(device, joined)
    }
  })

  test('again and again, every 300,000 bytes, is survived too', async () => {
    const { device, joined } = await pairBehindProxies()
    const { cuts } = proxies.receiver
    proxies.receiver.cutEvery(300_000)
    await expectDelivery(device, joined)
    proxies.receiver.cutEvery(Number.POSITIVE_INFINITY)
    expect(proxies.receiver.cuts).toBeGreaterThan(cuts + 4)
  })
})

describe('a cut before the transfer', () => {
  /** Everything from the first byte on, with a network that is cut once. */
  async function expectAll(side: SideName, position: number, kind: 'sockets' | 'requests'): Promise<void> {
    proxies[side].cutAfter(position, kind)
    const { device, joined } = await pairBehindProxies()
    await expectDelivery(device, joined, SMALL, SMALL_DIGEST)
  }

  describe.each(SIDES)('of the %s’s network', (side) => {
    test('anywhere in the handshake or the approval loses nothing', async () => {
      const before = proxies[side].passed.sockets
      await pairBehindProxies()
      const handshakeBytes = proxies[side].passed.sockets - before
      expect(handshakeBytes).toBeGreaterThan(2_500)
      for (const position of positions(8, handshakeBytes, side === 'sender' ? 44 : 55)) {
        await expectAll(side, position, 'sockets')
      }
    })

    test('anywhere in the requests, answers included, loses nothing', async () => {
      const before = proxies[side].passed.requests
      await pairBehindProxies()
      const requestBytes = proxies[side].passed.requests - before
      for (const position of positions(6, requestBytes, side === 'sender' ? 66 : 77)) {
        await expectAll(side, position, 'requests')
      }
    })
  })
})

describe('a cut at a frame', () => {
  const frames: [SideName, string, number, boolean][] = [
    ['receiver', 'm1', 1, false],
    ['sender', 'the ack of m1', 1, true],
    ['sender', 'm2', 1, false],
    ['receiver', 'the ack of m2', 1, true],
    ['receiver', 'm3', 2, false],
    ['sender', 'm4', 2, false],
    ['sender', 'its hello, which is the approval', 3, false],
    ['receiver', 'its hello', 3, false],
    ['sender', 'the offer', 4, false],
    ['receiver', 'the answer', 4, false],
    ['sender', 'the content', 5, false],
    ['sender', 'the word that all was sent', 6, false],
    ['receiver', 'the receipt', 5, false],
    ['sender', 'the ack of the receipt', 5, true],
    ['sender', 'the goodbye', 7, false],
    ['receiver', 'the goodbye', 6, false],
  ]

  test.each(frames)('of the %s: %s, before and after it is sent', async (side, _, seq, isAck) => {
    for (const moment of ['before', 'after']) {
      const worlds = { sender: await DeviceWorld.create(), receiver: await DeviceWorld.create() }
      let cuts = 0
      worlds[side].hooks.outgoing = (data, socket) => {
        if (typeof data === 'string' || cuts > 0) return data
        const frame = decodeFrame(data)
        // Acks are cumulative: the one that covers this seq may be a later one.
        if ((frame.type === FRAME_ACK) !== isAck || (isAck ? frame.seq < seq : frame.seq !== seq)) return data
        cuts++
        queueMicrotask(() => socket.cut())
        return moment === 'before' ? undefined : data
      }
      const paired = await pair(relay.url, { sender: { world: worlds.sender }, receiver: { world: worlds.receiver } })
      await expectDelivery(paired, paired, SMALL, SMALL_DIGEST)
      expect(cuts).toBe(1)
      // A receiver that was there before the sender, on another node, has attached once more.
      if (hasFrames) expect(worlds[side].sockets.length).toBe(2)
    }
  })

  test.each(SIDES)('of the %s: its attach message, or the first view, several times', async (side) => {
    const worlds = { sender: await DeviceWorld.create(), receiver: await DeviceWorld.create() }
    let left = 6
    const cutting = (data: string | Uint8Array, socket: { cut(): void }) => {
      if (typeof data !== 'string' || left === 0) return data
      left--
      socket.cut()
      return undefined
    }
    worlds[side].hooks.outgoing = (data, socket) => (left > 3 ? cutting(data, socket) : data)
    worlds[side].hooks.incoming = cutting
    const paired = await pair(relay.url, { sender: { world: worlds.sender }, receiver: { world: worlds.receiver } })
    await expectDelivery(paired, paired, SMALL, SMALL_DIGEST)
    expect(left).toBe(0)
  })

  test('of the approval: an answer that is lost is asked for again', async () => {
    const world = await DeviceWorld.create()
    const device = await openSender(relay.url, { world })
    const joined = await join(relay.url, device.sender.code)
    let asked = 0
    world.onFetch = async (send, url) => {
      const answer = await send()
      if (url.endsWith('/decision') && asked++ === 0) throw new TypeError('the answer was lost')
      return answer
    }
    await (await nextRequest(device)).approve()
    expect(asked).toBe(2)
    await expectDelivery(device, joined, SMALL, SMALL_DIGEST)
  })
})

describe('a relay that forgets its mailboxes', () => {
  /** Forgets everything it holds, once, just before it is asked to do something about a frame. */
  function forgetful() {
    const keys = new Set<MailboxKey>()
    let plan: { what: string; seq: number } | undefined
    const wrap = (store: MailboxStore): MailboxStore => {
      const meanwhile = async (what: string, seq: number) => {
        if (plan?.what !== what || seq < plan.seq) return
        plan = undefined
        for (const key of keys) await store.drop([key])
      }
      return {
        open: (key, floor, keepMs) => {
          keys.add(key)
          return store.open(key, floor, keepMs)
        },
        append: async (key, frame, window) => {
          await meanwhile(`${key.slice(-3)} frame`, frame.seq)
          return store.append(key, frame, window)
        },
        ackThrough: async (key, seq) => {
          await meanwhile(`${key.slice(-3)} ack`, seq)
          return store.ackThrough(key, seq)
        },
        read: (key, after) => store.read(key, after),
        position: (key) => store.position(key),
        drop: (keys) => store.drop(keys),
      }
    }
    const before = (what: string, seq: number) => {
      keys.clear()
      plan = { what, seq }
    }
    return { wrap, before, forgot: () => plan === undefined }
  }

  const mind = forgetful()
  let forgetfulRelay: RunningRelay
  beforeAll(async () => {
    forgetfulRelay = await startRelay({ wrapMailboxes: mind.wrap })
  })
  afterAll(() => forgetfulRelay.close())

  const points: [string, number][] = [
    ['r2s frame', 1],
    ['s2r frame', 1],
    ['r2s frame', 2],
    ['s2r frame', 2],
    ['s2r frame', 3],
    ['s2r frame', 4],
    ['s2r frame', 7],
    ['s2r frame', 9],
    ['s2r frame', 13],
    ['r2s frame', 3],
    ['r2s frame', 4],
    ['r2s frame', 5],
    ['s2r frame', 15],
    ['s2r ack', 1],
    ['s2r ack', 2],
    ['s2r ack', 4],
    ['s2r ack', 8],
    ['s2r ack', 13],
    ['r2s ack', 1],
    ['r2s ack', 2],
    ['r2s ack', 3],
  ]

  test.each(points)('before the %s %d sends both back to their attach, and both resume', async (what, seq) => {
    const worlds = { sender: await DeviceWorld.create(), receiver: await DeviceWorld.create() }
    mind.before(what, seq)
    const paired = await pair(forgetfulRelay.url, {
      sender: { world: worlds.sender },
      receiver: { world: worlds.receiver },
    })
    await expectDelivery(paired, paired)
    expect(mind.forgot()).toBe(true)
    const codes = SIDES.map((side) => worlds[side].sockets.slice(0, -1).map(({ closeCode }) => closeCode))
    // On another node an end that has sent nothing yet has nothing to resume.
    if (!hasFrames) return
    // Over HTTP only who misses something attaches again, once for each direction at most, as it finds out by itself.
    if (setting.webSocketsPass) expect(codes).toEqual([[4409], [4409]])
    else expect(codes.flat()).toSatisfy((each: number[]) => each.length > 0 && each.length <= 4)
  })
})

describe('reconnecting', () => {
  /** A pair whose long waits are the test's to end. */
  async function pairInTime(side: SideName, ttlSeconds = 60) {
    const time = new FakeTime()
    const world = await DeviceWorld.create(time)
    const other = await DeviceWorld.create()
    const worlds = side === 'sender' ? { sender: world, receiver: other } : { sender: other, receiver: world }
    const paired = await pair(relay.url, {
      sender: { world: worlds.sender, ttlSeconds },
      receiver: { world: worlds.receiver },
    })
    return { ...paired, time, world }
  }

  test('backs off, with jitter, and gives up at the deadline with expired', async () => {
    const { receiver, world, time } = await pairInTime('receiver')
    const end = errorOf(collect(receiver))
    let ended = false
    void end.then(() => {
      ended = true
    })
    world.jitter = 0.5
    world.unplugged = true
    const lostAt = time.now()
    const openedAt: number[] = []
    world.socket.cut()
    while (!ended) {
      const before = world.sockets.length
      await until('the socket is lost', () => world.openSockets.size === 0)
      await time.advance(25)
      if (world.sockets.length > before) openedAt.push(time.now() - lostAt)
    }
    expect(await end).toBe('expired')
    const waits = openedAt.map((at, i) => at - (openedAt[i - 1] ?? 0))
    expect(waits.slice(0, 7)).toEqual([125, 250, 500, 1_000, 2_000, 4_000, 5_000])
    expect(time.now() - lostAt).toBeGreaterThan(55_000)
    expect(time.outstanding).toBe(0)
  })

  test.each(SIDES)('a network that is silent for too long is left for a new socket by the %s', async (side) => {
    const { sender, receiver, world, time } = await pairInTime(side, 900)
    const { socket: silent } = world
    world.hooks.incoming = (data, socket) => (socket === silent ? undefined : data)
    const before = world.sockets.length
    let silentMs = 0
    for (; world.sockets.length === before; silentMs += 1_000) {
      await time.advance(1_000)
      // Wait a moment of real time for what follows.
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    // A poll has a time of its own: it is answered after 25 s at the latest, and given up 15 s later.
    expect(silentMs).toBeGreaterThanOrEqual(setting.webSocketsPass ? 60_000 : 40_000)
    expect(silentMs).toBeLessThanOrEqual(66_000)
    await expectDelivery({ sender }, { receiver }, SMALL, SMALL_DIGEST)
  })

  // Over HTTP a relay cannot tell two clients with one token apart.
  test.skipIf(!setting.webSocketsPass)(
    'another WebSocket with the same token takes over, and that is the end of this one',
    async () => {
      const world = await DeviceWorld.create()
      let credentials = { sessionId: '', token: '' }
      world.onFetch = async (send, url) => {
        const answer = await send()
        if (url.endsWith('/v1/receivers')) credentials = (await answer.clone().json()) as typeof credentials
        return answer
      }
      const { sender, receiver } = await pair(relay.url, { receiver: { world } })
      const end = errorOf(collect(receiver))
      const attacker = await RawSocket.attach(relay.url, credentials)
      expect(await end).toBe('superseded')
      expect(world.sockets).toHaveLength(1)
      expect(world.left).toEqual({ timers: 0, sockets: 0, requests: 0 })
      await attacker.close()
      await sender.cancel()
    },
  )
})
