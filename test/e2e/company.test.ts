import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { POLL_LEASE_MS } from '../../src/protocol/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { admit, bytesOf, collect, errorOf, join, meet, nextRequest, openSender, pair, sendAll } from './people.ts'
import { setting, startRelay, type TestRelay } from './setting.ts'
import { type DeviceWorld, until } from './world.ts'

/** The knowledge of each side about the other. */

const clock = new FakeClock()
let relay: TestRelay
beforeAll(async () => {
  relay = await startRelay({ clock })
})
afterAll(() => relay.end())

/** Takes a device off the network, and lets the relay notice. One that asks over HTTP counts as present for a minute. */
async function unplug(world: DeviceWorld): Promise<void> {
  world.unplugged = true
  world.socket.cut()
  if (setting.webSocketsPass) return
  // Answers to earlier calls do not renew its minute.
  await fetch(`${relay.url}/healthz`)
  clock.advance(POLL_LEASE_MS)
  await relay.tick()
}

describe('the sender', () => {
  test('sees whether a device is there, and hears when it has left', async () => {
    const device = await openSender(relay.url)
    const joined = await join(relay.url, device.sender.code)
    const request = await nextRequest(device)
    expect(request.present).toBe(true)
    await unplug(joined.world)
    await until('the device is not there', () => !request.present)
    joined.world.unplugged = false
    await until('the device is back', () => request.present)
    await joined.receiver.close()
    expect((await request.ended).code).toBe('receiver_left')
  })

  test('has no device left to send to when the approved one has gone', async () => {
    const { device, receiver, request } = await meet(relay.url)
    await request.approve()
    await receiver.close()
    await request.ended
    expect(await errorOf(device.sender.send([bytesSource(bytesOf(10), 'a')]))).toBe('receiver_left')
  })
})

describe('the requests', () => {
  test('need not be waited for: what is sent goes to those approved so far', async () => {
    const device = await openSender(relay.url, { receivers: 2 })
    const { receiver } = await admit(relay.url, device)
    await device.requests.return()
    const collecting = collect(receiver)
    expect(await sendAll(device.sender, 10)).toEqual([10])
    expect(await collecting).toHaveLength(1)
  })
})

describe('the receiver', () => {
  test('hears that it was approved, before anything is sent', async () => {
    let approved = 0
    const device = await openSender(relay.url)
    const { receiver } = await join(relay.url, device.sender.code, { onApproved: () => approved++ })
    const request = await nextRequest(device)
    const collecting = collect(receiver)
    await receiver.verified
    expect(approved).toBe(0)
    await request.approve()
    await until('it is told', () => approved === 1)
    await sendAll(device.sender, 10, collecting)
    expect(approved).toBe(1)
  })

  test('sees whether the sender is there, and how long the session lasts', async () => {
    const { receiver, world } = await pair(relay.url, { sender: { ttlSeconds: 120 } })
    expect(receiver.senderPresent).toBe(true)
    expect(receiver.expiresInMs).toBeGreaterThan(0)
    expect(receiver.expiresInMs).toBeLessThanOrEqual(120_000)
    await unplug(world)
    await until('the sender is not there', () => !receiver.senderPresent)
    world.unplugged = false
    await until('the sender is back', () => receiver.senderPresent)
  })

  test('is told that something may be missing only when it was approved', async () => {
    const device = await openSender(relay.url)
    const { receiver } = await join(relay.url, device.sender.code)
    await nextRequest(device)
    const ended = collect(receiver).catch((error: Error) => error.message)
    await receiver.verified
    await device.sender.cancel()
    expect(await ended).toBe('The sender ended the session.')
  })
})
