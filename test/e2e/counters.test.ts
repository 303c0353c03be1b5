import { describe, expect, test } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { EPITAPH_MS } from '../../src/protocol/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { NO_SERVER_STATE, type RunningRelay } from '../support/server.ts'
import { isAlone } from '../support/setting.ts'
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
  wrongCode,
} from './people.ts'
import { RawReceiver, RawSender } from './raw-peers.ts'
import { startRelay } from './setting.ts'
import { DeviceWorld, NOTHING_LEFT_HERE, until } from './world.ts'

/** However a session ends, nothing of it is left after its epitaph, neither at the relay nor in the SDK. */

/** A road that a session can take, on a relay whose clock it may move. Returns the devices that took part. */
type Road = (relay: RunningRelay, clock: FakeClock) => Promise<DeviceWorld[]>

const small = () => bytesSource(bytesOf(100_000), 'a')
const large = () => bytesSource(bytesOf(8_000_000), 'a')

const roads: Record<string, Road> = {
  'completed, with three receivers and two transfers': async (relay) => {
    const { sender, receivers, world } = await pair(relay.url, { receivers: 3 })
    const collecting = receivers.map(({ receiver }) => collect(receiver))
    for (let i = 0; i < 2; i++) await sender.send([small()])
    await sender.close()
    await Promise.all(collecting)
    return [world, ...receivers.map((each) => each.world)]
  },
  'cancelled while one waits, one is approved and one has left': async (relay) => {
    const device = await openSender(relay.url, { receivers: 3 })
    const approved = await admit(relay.url, device)
    const left = await join(relay.url, device.sender.code)
    await nextRequest(device)
    await left.receiver.close()
    const waiting = await join(relay.url, device.sender.code)
    await nextRequest(device)
    const ends = [approved, waiting].map(({ receiver }) => errorOf(collect(receiver)))
    await device.sender.cancel()
    expect(await Promise.all(ends)).toEqual(['closed_by_sender', 'closed_by_sender'])
    return [device.world, approved.world, left.world, waiting.world]
  },
  'cancelled in the middle of a transfer': async (relay) => {
    const { sender, receiver, world, receiverWorld } = await pair(relay.url)
    const end = errorOf(collect(receiver, { onProgress: () => void sender.cancel() }))
    expect((await sender.send([large()])).map(outcomeOf)).toEqual(['aborted'])
    expect(await end).toBe('closed_by_sender')
    await sender.cancel()
    return [world, receiverWorld]
  },
  'left by the receiver in the middle of a transfer': async (relay) => {
    const { sender, receiver, world, receiverWorld } = await pair(relay.url)
    const end = errorOf(collect(receiver, { onProgress: () => void receiver.close() }))
    expect((await sender.send([large()])).map(outcomeOf)).toEqual(['not_delivered'])
    expect(await end).toBe('aborted')
    await sender.close()
    return [world, receiverWorld]
  },
  'with nothing but wrong codes': async (relay) => {
    const { sender, requests, world } = await openSender(relay.url)
    for (let i = 0; i < 5; i++) {
      const attacker = await RawReceiver.join(relay.url, wrongCode(sender.code))
      attacker.send(attacker.m1())
      attacker.send(attacker.m3(await attacker.next()))
      await attacker.socket.until((view) => view?.receivers[0]?.state === 'denied')
      await attacker.close()
    }
    expect((await requests.next()).done).toBe(true)
    await sender.close()
    return [world]
  },
  'expired while one waits, one is approved and a poll is held': async (relay, clock) => {
    const world = await DeviceWorld.create()
    let held: Promise<unknown> | undefined
    world.onFetch = async (send, url) => {
      const answer = await send()
      if (!url.endsWith('/v1/sessions')) return answer
      const { sessionId, token } = (await answer.clone().json()) as { sessionId: string; token: string }
      const poll = `${relay.url}/v1/sessions/${sessionId}`
      const headers = { authorization: `Bearer ${token}` }
      const { version } = (await (await fetch(poll, { headers })).json()) as { version: string }
      held = fetch(`${poll}?version=${version}&waitMs=25000`, { headers }).then((response) => response.json())
      return answer
    }
    const device = await openSender(relay.url, { receivers: 2, ttlSeconds: 60, world })
    const approved = await admit(relay.url, device)
    const waiting = await join(relay.url, device.sender.code)
    await nextRequest(device)
    const ends = [approved, waiting].map(({ receiver }) => errorOf(collect(receiver)))
    clock.advance(EPITAPH_MS)
    await relay.tick()
    expect(await Promise.all(ends)).toEqual(['expired', 'expired'])
    expect(await errorOf(device.requests.next())).toBe('expired')
    expect(await held).toBeDefined()
    return [device.world, approved.world, waiting.world]
  },
  'ended by the relay’s own shutdown': async (relay) => {
    const { sender, receiver, world, receiverWorld } = await pair(relay.url)
    const end = errorOf(collect(receiver))
    const sending = sender.send([large()])
    await until('the transfer runs', () => relay.counters().unackedBytes > 0)
    await relay.close()
    expect((await sending).map(outcomeOf)).toEqual(['shutting_down'])
    expect(await end).toBe('shutting_down')
    return [world, receiverWorld]
  },
  'with devices that just vanish': async (relay) => {
    const sender = await RawSender.open(relay.url)
    sender.socket.acks = false
    const receivers = [await RawReceiver.join(relay.url, sender.code), await RawReceiver.join(relay.url, sender.code)]
    for (const receiver of receivers) receiver.send(receiver.m1())
    await until('the relay holds something', () => relay.counters().unackedBytes > 2_000)
    for (const attacker of [sender, ...receivers]) await attacker.socket.close()
    return []
  },
  'that was refused from the start': async (relay) => {
    const world = await DeviceWorld.create()
    expect(await errorOf(join(relay.url, 'K7QM3-XPDT28', { world }))).toBe('code_not_found')
    return [world]
  },
}

describe('a session', () => {
  // A session that other nodes know does not end with one.
  const here = Object.entries(roads).filter(([name]) => isAlone || !name.includes('shutdown'))

  test.each(here)('%s, leaves nothing', async (_, road) => {
    const clock = new FakeClock()
    const relay = await startRelay({ clock })
    try {
      for (const world of await road(relay, clock)) {
        await until('the SDK lets go', () => world.openSockets.size === 0 && world.timers.size === 0)
        expect(world.left).toEqual(NOTHING_LEFT_HERE)
      }
      // Whoever was not told ends at the deadline; then the epitaph stands.
      for (const ms of [900_000, EPITAPH_MS]) {
        clock.advance(ms)
        await relay.tick()
      }
      await until('the relay lets go', () => relay.counters().sockets === 0 && relay.counters().webSockets === 0)
      expect(relay.counters()).toEqual(NO_SERVER_STATE)
    } finally {
      await relay.close()
    }
  })
})
