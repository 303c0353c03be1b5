import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import type { PairingRequest, Receiver } from '../../src/client/index.ts'
import { environmentWith } from '../../src/client/runtime.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { ERROR_TITLES } from '../../src/protocol/error-titles.ts'
import { ERRORS, type ErrorCode } from '../../src/protocol/errors.ts'
import { FakeTime } from '../client/fake-time.ts'
import { admit, collect, errorOf, join, nextRequest, openSender, type SendingDevice, sendAll } from './people.ts'
import { messageOf, offerOf, RawReceiver, RawSender } from './raw-peers.ts'
import { startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

/** How long the SDK waits for others, and how much it takes from them, before it goes on without. */

let relay: TestRelay

beforeEach(async () => {
  relay = await startRelay()
})
afterEach(() => relay.end())

/** Waits until somebody waits for exactly this long, and lets that time pass. */
async function passWait(time: FakeTime, ms: number): Promise<void> {
  await until(`somebody waits for ${ms} ms`, () => time.due.includes(ms))
  await time.advance(ms)
}

/** How either side begins. */
const ASKING = [openSender, (url: string, options: object) => join(url, 'K7QM3-XPDT28', options)]

/** A device whose first request may have another answer than the relay's, and whose pauses are the test's. */
async function countingWorld(first?: Response) {
  const time = new FakeTime()
  const world = await DeviceWorld.create(time)
  world.jitter = 0.5
  let asked = 0
  world.onFetch = async (send) => (asked++ === 0 && first ? first : send())
  return { time, world, asked: () => asked }
}

function problemOf(code: ErrorCode & keyof typeof ERROR_TITLES): Response {
  const { status = 500, retryable } = { status: undefined, ...ERRORS[code] }
  return Response.json({ type: 'about:blank', title: ERROR_TITLES[code], status, code, retryable }, { status })
}

test('a goodbye waits 10 s for receivers to read it and 10 s for them to leave, and ends the session all the same', async () => {
  const time = new FakeTime()
  const device = await openSender(relay.url, { world: await DeviceWorld.create(time) })
  const attacker = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
  await attacker.shakeHands()
  await (await nextRequest(device)).approve()
  await attacker.greet()
  attacker.socket.acks = false
  const closing = device.sender.close()
  for (let i = 0; i < 2; i++) await passWait(time, 10_000)
  await closing
  await attacker.socket.until((view) => view?.state === 'closed')
  expect(attacker.socket.view?.reason).toBe('closed_by_sender')
  expect(time.outstanding).toBe(0)
})

test('a goodbye that everybody answers waits for nothing', async () => {
  const time = new FakeTime()
  const device = await openSender(relay.url, { world: await DeviceWorld.create(time) })
  const collecting = collect((await admit(relay.url, device)).receiver)
  await device.sender.close()
  await collecting
  expect(time.now()).toBe(new FakeTime().now())
  expect(time.outstanding).toBe(0)
})

test.each<[string, (device: SendingDevice, request: PairingRequest, receiver: Receiver) => Promise<void>]>([
  ['a sender that denies', (_device, request) => request.deny()],
  ['a sender that cancels', ({ sender }) => sender.cancel()],
  ['a receiver that leaves', (_device, _request, receiver) => receiver.close()],
])('%s waits 10 s for a relay that does not answer', async (_, leave) => {
  const time = new FakeTime()
  const world = await DeviceWorld.create(time)
  const device = await openSender(relay.url, { world })
  const { receiver } = await join(relay.url, device.sender.code, { world })
  const request = await nextRequest(device)
  let asked = false
  world.onFetch = () => {
    asked = true
    return new Promise(() => {})
  }
  let left = false
  const leaving = leave(device, request, receiver).then(() => {
    left = true
  })
  await until('it asks the relay', () => asked)
  await time.advance(9_999)
  expect(left).toBe(false)
  await time.advance(1)
  expect(left).toBe(true)
  await leaving
  world.onFetch = (send) => send()
  await Promise.all([device.sender.cancel(), receiver.close()])
})

test('a receiver waits 10 s for the last acks after both goodbyes, and keeps what it has', async () => {
  const time = new FakeTime()
  const attacker = await RawSender.open(relay.url)
  const { receiver } = await join(relay.url, attacker.code.text, { world: await DeviceWorld.create(time) })
  await attacker.pairWith()
  const collecting = collect(receiver)
  attacker.sendMessage(offerOf([{ path: 'a', size: 1 }], { bytes: 1 }))
  for (let i = 0; i < 2; i++) await attacker.readHead()
  attacker.socket.acks = false
  attacker.sendMessage(messageOf({ kind: 'content', offer: 1 }, 'x'))
  attacker.sendMessage(messageOf({ kind: 'sent', offer: 1, bytes: 1 }))
  attacker.sendMessage(messageOf({ kind: 'bye' }))
  expect((await collecting)[0][0]).toMatchObject({ path: 'a', bytes: 1 })
  const device = await receiver.approved
  await passWait(time, 10_000)
  expect(await device.ended).toBe(undefined)
  await attacker.close()
})

test('after four receiver codes that are taken it gives up', async () => {
  const device = await openSender(relay.url, { receivers: 2 })
  const worlds = [await DeviceWorld.create(), await DeviceWorld.create()]
  for (const world of worlds) {
    const { random } = world
    world.random = (length) => (length === 6 ? new Uint8Array(6) : random(length))
  }
  await join(relay.url, device.sender.code, { world: worlds[0] })
  let asked = 0
  worlds[1].onFetch = (send) => {
    asked++
    return send()
  }
  expect(await errorOf(join(relay.url, device.sender.code, { world: worlds[1] }))).toBe('relay_refused')
  expect(asked).toBe(4)
  await device.sender.cancel()
})

test('a relay that is not there is asked four times, by either side', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  for (const ask of ASKING) {
    const { time, world, asked } = await countingWorld()
    const error = errorOf(ask(`http://127.0.0.1:${port}`, { world }))
    for (const ms of [300, 600, 1_200]) await passWait(time, ms)
    expect(await error).toBe('relay_unreachable')
    expect(asked()).toBe(4)
  }
})

test('a relay that cannot answer now is asked again, and then has the session', async () => {
  const device = await openSender(relay.url)
  for (const ask of [openSender, (_url: string, options: object) => join(relay.url, device.sender.code, options)]) {
    for (const code of ['unavailable', 'going_away', 'at_capacity', 'internal'] as const) {
      const { time, world, asked } = await countingWorld(problemOf(code))
      const asking = ask(relay.url, { world })
      await passWait(time, 300)
      const opened = await asking
      expect(asked()).toBe(2)
      await ('sender' in opened ? opened.sender.cancel() : opened.receiver.close())
    }
  }
  await device.sender.cancel()
})

test('who gives up while a relay is asked again asks it no more', async () => {
  for (const ask of ASKING) {
    const { time, world, asked } = await countingWorld(problemOf('unavailable'))
    const abort = new AbortController()
    const error = errorOf(ask(relay.url, { world, signal: abort.signal }))
    await until('it waits', () => time.due.includes(300))
    abort.abort()
    await passWait(time, 300)
    expect(await error).toBe('aborted')
    expect(asked()).toBe(1)
  }
})

test('an answer that is lost costs the code it was for: the next try has another', async () => {
  const world = await DeviceWorld.create()
  const asked: string[] = []
  world.onFetch = async (send, _url, init) => {
    const answer = await send()
    const { senderCode, receiverCode } = JSON.parse(String(init.body ?? '{}'))
    if (asked.push(receiverCode ?? senderCode) % 2) throw new TypeError('the answer was lost')
    return answer
  }
  const device = await openSender(relay.url, { receivers: 2, world })
  expect(new Set(asked).size).toBe(2)
  expect(parsePairingCode(device.sender.code).locator).toBe(asked[1])
  const joined = await join(relay.url, device.sender.code, { world })
  expect(new Set(asked).size).toBe(4)
  expect(joined.receiver.receiverCode).toBe(asked[3])
  world.onFetch = (send) => send()
  // The first join waits for ever, and may be somebody's who knows the code.
  await device.sender.approveNumber((await nextRequest(device)).matchNumber)
  const collecting = collect(joined.receiver)
  expect(await sendAll(device.sender, 10)).toEqual([10])
  await collecting
})

test('a socket takes messages of 1 MiB, and none that is larger', async () => {
  const attacker = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(attacker, 'listening')
  const sizes = [1_048_576, 1_048_577]
  attacker.on('connection', (socket) => {
    for (const size of sizes) socket.send(new Uint8Array(size))
    socket.on('error', () => {})
  })
  const { port } = attacker.address() as AddressInfo
  const socket = (await environmentWith()).openWebSocket(`ws://127.0.0.1:${port}`, 'pairlay.v1')
  socket.binaryType = 'arraybuffer'
  const taken: number[] = []
  let closed = false
  socket.onmessage = ({ data }) => void taken.push((data as ArrayBuffer).byteLength)
  socket.onerror = () => {}
  socket.onclose = () => {
    closed = true
  }
  await until('it closes the socket', () => closed)
  expect(taken).toEqual([1_048_576])
  for (const client of attacker.clients) client.terminate()
  attacker.close()
})
