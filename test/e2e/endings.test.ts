import { afterEach, beforeEach, expect, test } from 'vitest'
import { bytesSource, type PairingError, type Receipt, Receiver } from '../../src/client/index.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { decodeFrame, FRAME_DATA } from '../../src/protocol/frame.ts'
import type { View } from '../../src/protocol/view.ts'
import { FakeTime } from '../client/fake-time.ts'
import {
  admit,
  bytesOf,
  collect,
  errorOf,
  firstOffer,
  join,
  nextRequest,
  openSender,
  outcomeOf,
  pair,
  sendAll,
  take,
} from './people.ts'
import { messageOf, RawReceiver, RawSender } from './raw-peers.ts'
import { startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

/** The end of a session and its reason, as each side is told. */

let relay: TestRelay

beforeEach(async () => {
  relay = await startRelay()
})
afterEach(() => relay.end())

test('a sender that ends by itself tells the relay, so that nobody waits for the deadline', async () => {
  const { receiver, world } = await pair(relay.url)
  const end = errorOf(collect(receiver))
  world.socket.inject('{"type":"session"}')
  expect(await end).toBe('closed_by_sender')
  expect((await receiver.ended).code).toBe('closed_by_sender')
})

test('a receiver that ends by itself tells the relay as well', async () => {
  const { receiver, receiverWorld, sender } = await pair(relay.url)
  const end = errorOf(collect(receiver))
  receiverWorld.socket.inject('{"type":"session"}')
  expect(await end).toBe('relay_misbehaved')
  // Over HTTP the sender may hear of it while it sends.
  const sent = await sender.send([bytesSource(bytesOf(1), 'a')]).catch((error: PairingError) => error.code)
  expect(typeof sent === 'string' ? sent : outcomeOf(sent[0])).toMatch(/^(receiver_left|not_delivered)$/)
})

test('an app whose person is asked sees at once that the session is over', async () => {
  const { sender, receiver } = await pair(relay.url)
  const offers = receiver.offers()
  const sending = sender.send([bytesSource(bytesOf(5), 'a')])
  expect((await offers.next()).done).toBe(false)
  await sender.cancel()
  expect((await receiver.ended).code).toBe('closed_by_sender')
  expect((await sending).map(outcomeOf)).toEqual(['aborted'])
})

test('what is final before the receipt is lost stays final, and counts as not confirmed', async () => {
  const { sender, receiver } = await pair(relay.url)
  const sending = sender.send([bytesSource(bytesOf(5), 'a')])
  const { offer, offers } = await firstOffer(receiver)
  await take(offer, {
    beforeReceipt: async () => {
      await sender.cancel()
      await receiver.ended
    },
  })
  expect([offer.complete, await offer.confirmed]).toEqual([true, false])
  expect(await errorOf(offers.next())).toBe('closed_by_sender')
  expect((await sending).map(outcomeOf)).toEqual(['unconfirmed'])
})

test('a receipt that the sender has is confirmed', async () => {
  const { sender, receiver } = await pair(relay.url)
  const sending = sender.send([bytesSource(bytesOf(5), 'a')], { last: true })
  const confirmed: boolean[] = []
  for await (const offer of receiver.offers()) {
    await take(offer)
    confirmed.push(await offer.confirmed)
  }
  expect(confirmed).toEqual([true])
  expect((await sending).map(outcomeOf)).toEqual([5])
  await sender.close()
})

test('a receiver that decides slowly holds nobody else: the other is told of and let go', async () => {
  const { sender, receivers } = await pair(relay.url, { receivers: 2 })
  const [slow, quick] = receivers.map(({ receiver }) => receiver)
  const receipts: Receipt[] = []
  const sending = sender.send([bytesSource(bytesOf(5), 'a')], {
    last: true,
    onReceipt: (receipt) => void receipts.push(receipt),
  })
  const { offer } = await firstOffer(slow)
  expect(await collect(quick)).toHaveLength(1)
  expect(receipts.map(({ matchNumber }) => matchNumber)).toEqual([quick.matchNumber])
  offer.decline('no_space')
  expect((await sending).map(outcomeOf).toSorted()).toEqual([5, 'no_space'])
  expect(receipts.map(outcomeOf)).toEqual([5, 'no_space'])
  await sender.close()
})

test('a size is asked for when the offer is made, and a source that grows afterwards has changed', async () => {
  const { sender, receiver } = await pair(relay.url)
  const collecting = collect(receiver).catch((error) => error.code)
  let size = 3
  const source = {
    name: 'log',
    size,
    stat: async () => size,
    async *open() {
      yield bytesOf(size)
    },
  }
  size = 7
  expect((await sender.send([source])).map(outcomeOf)).toEqual([7])
  const growing = { ...source, stat: async () => size++ }
  expect((await sender.send([growing])).map(outcomeOf)).toEqual(['source_changed'])
  await sender.close()
  expect(await collecting).toBe('source_changed')
})

test('payload before the approval is refused', async () => {
  const attacker = await RawSender.open(relay.url)
  const world = await DeviceWorld.create()
  // A relay that passes on what it should not, and says so as late as it can.
  world.hooks.incoming = (data) => (typeof data === 'string' ? data.replaceAll('"approved"', '"pending"') : data)
  const { receiver } = await join(relay.url, attacker.code.text, { world })
  await attacker.shakeHands()
  await attacker.decide({ decision: 'approved' })
  const end = errorOf(collect(receiver))
  attacker.sendMessage(messageOf({ kind: 'post' }, new Uint8Array(20_000)))
  expect(await end).toBe('peer_misbehaved')
})

test('a suite that is not known is denied as unsupported, spends nothing, and bans nobody', async () => {
  const { sender } = await openSender(relay.url)
  const { locator } = parsePairingCode(sender.code)
  for (let i = 0; i < 6; i++) {
    const joined = await post('/v1/receivers', {
      senderCode: locator,
      receiverCode: `ABCDE${i}`,
      publicKey: 'A'.repeat(43),
      profile: 'Ag',
    })
    const { sessionId, token } = joined as { sessionId: string; token: string }
    const denied = async () => {
      for (;;) {
        const answer = await fetch(`${relay.url}/v1/sessions/${sessionId}`, {
          headers: { authorization: `Bearer ${token}` },
        })
        const [row] = ((await answer.json()) as View).receivers
        if (row.state === 'denied') return row.reason
      }
    }
    expect(await denied()).toBe('unsupported')
  }
  expect(sender.failedAttempts).toEqual({ wrongCode: 0, timedOut: 0, invalid: 0 })
  const { receiver } = await join(relay.url, sender.code)
  expect(await receiver.verified).toMatch(/^\d{6}$/)
})

test('a sender of another suite is unsupported at the receiver, which leaves', async () => {
  const { sender } = await openSender(relay.url)
  const world = await DeviceWorld.create()
  world.onFetch = async (send, url) => {
    const answer = await send()
    return url.endsWith('/receivers') ? Response.json({ ...(await answer.json()), profile: 'Ag' }, answer) : answer
  }
  const { receiver } = await join(relay.url, sender.code, { world })
  expect(await errorOf(receiver.verified)).toBe('unsupported')
  await until('it has left', () => sender.waitingUnproven === 0)
})

test('a profile that a relay changes on the way makes the handshake fail', async () => {
  const { sender } = await openSender(relay.url)
  const world = await DeviceWorld.create()
  world.onFetch = async (send, url) => {
    const answer = await send()
    return url.endsWith('/receivers') ? Response.json({ ...(await answer.json()), profile: 'AQI' }, answer) : answer
  }
  const { receiver } = await join(relay.url, sender.code, { world })
  expect(await errorOf(receiver.verified)).toBe('wrong_code')
})

/** Lets the relay say of a receiver's first runs that they have left. */
function displacing(world: DeviceWorld, runs: number): Set<string> {
  const displaced = new Set<string>()
  world.hooks.incoming = (data) => {
    if (typeof data !== 'string') return data
    const view: View = JSON.parse(data)
    const [row] = view.receivers
    if (row && (displaced.has(row.receiverCode) || displaced.size < runs)) {
      displaced.add(row.receiverCode)
      Object.assign(row, { state: 'left', publicKey: undefined })
      view.channels = []
    }
    return JSON.stringify(view)
  }
  return displaced
}

test('a receiver that the relay has let go of joins again by itself, under another code and other keys', async () => {
  const device = await openSender(relay.url)
  const world = await DeviceWorld.create()
  const keys = new Set<string>()
  world.onFetch = (send, url, init) => {
    if (url.endsWith('/receivers')) keys.add(JSON.parse(String(init.body)).publicKey)
    return send()
  }
  const displaced = displacing(world, 1)
  let rejoined = 0
  const { receiver } = await join(relay.url, device.sender.code, { world, onRejoin: () => void rejoined++ })
  expect(await receiver.verified).toBe((await nextRequest(device)).matchNumber)
  expect(displaced.has(receiver.receiverCode)).toBe(false)
  expect([rejoined, keys.size]).toEqual([1, 2])
  await device.sender.cancel()
  expect((await receiver.ended).code).toBe('closed_by_sender')
})

test('it waits 0, 1, 2, 4, 8, 15 s, and gives up after eight joins more', async () => {
  const { sender } = await openSender(relay.url)
  const time = new FakeTime()
  const world = await DeviceWorld.create(time)
  displacing(world, 100)
  let joins = 0
  world.onFetch = async (send, url, init) => {
    const answer = await send()
    if (!url.endsWith('/receivers')) return answer
    joins++
    if (answer.status !== 201) throw new Error(String(init.body))
    return answer
  }
  const { receiver } = await join(relay.url, sender.code, { world })
  const end = errorOf(receiver.verified)
  for (const [i, ms] of [1_000, 2_000, 4_000, 8_000].entries()) {
    await until(`it waits ${ms} ms after ${joins} joins`, () => joins === i + 2 && time.due.includes(ms))
    await time.advance(ms)
  }
  // A call that waits for its answer has a timer of 15 s too.
  await until('it waits 15 s', () => joins === 6 && time.due.filter((ms) => ms === 15_000).length === 1)
  await receiver.close()
  await time.advance(15_000)
  expect(await end).toBe('aborted')
})

test('a person who leaves is not joined again', async () => {
  const { sender } = await openSender(relay.url)
  let rejoined = 0
  const { receiver } = await join(relay.url, sender.code, { onRejoin: () => void rejoined++ })
  await receiver.close()
  expect((await receiver.ended).code).toBe('aborted')
  expect(rejoined).toBe(0)
})

test('tags are counted beyond the process where the app keeps them', async () => {
  const device = await openSender(relay.url, { receivers: 3 })
  let count = 2
  const attempts = { emitted: async () => count, take: async (_: string, max: number) => ++count <= max }
  const { receiver } = await join(relay.url, device.sender.code, { attempts })
  await receiver.verified
  expect(count).toBe(3)
  expect(await errorOf(join(relay.url, device.sender.code, { attempts }))).toBe('attempts_used_up')
})

test('a stranger who knows the locator alone and claims what never was ends nothing but its own channel', async () => {
  const device = await openSender(relay.url, { receivers: 2 })
  const honest = await admit(relay.url, device)
  const collecting = collect(honest.receiver)
  const world = device.world
  const attacker = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
  let seq = 0
  world.hooks.incoming = (data) => {
    // A relay that has really forgotten lets a peer begin where it says.
    if (typeof data === 'string' || decodeFrame(data).channel !== attacker.channel) return data
    if (decodeFrame(data).type !== FRAME_DATA) return data
    const changed = Buffer.from(data)
    changed.writeUInt32BE(++seq + 1, 4)
    return changed
  }
  attacker.send(attacker.m1())
  await attacker.socket.until((view) => view?.receivers[0]?.state === 'denied')
  expect(attacker.socket.view?.receivers[0].reason).toBe('handshake_invalid')
  expect(await sendAll(device.sender, 1_000, collecting)).toEqual([1_000])
})

test('wrong use is an error at once, and names what is wrong', async () => {
  const wrong = (options: object) => Receiver.join(options as never).catch((error: PairingError) => error)
  expect(await wrong({ relay: relay.url, code: 5 })).toBeInstanceOf(TypeError)
  expect(await wrong({ code: 'K7QM3-XPDT28' })).toBeInstanceOf(TypeError)
  expect(await wrong({ relay: relay.url, code: 'K7QM3-XPDT28', name: 'x'.repeat(65) })).toBeInstanceOf(RangeError)
  for (const options of [undefined, {}])
    expect(await wrong(options as never)).toMatchObject({
      name: 'TypeError',
      message: expect.stringContaining('a code or a link'),
    })
  for (const options of [{ takes: true }, { takes: 'offers' }, { signal: new AbortController() }]) {
    const refused = {
      name: 'TypeError',
      message: expect.stringMatching(/^(takes is an object|signal is an AbortSignal)/),
    }
    expect(await wrong({ relay: relay.url, code: 'K7QM3-XPDT28', ...options })).toMatchObject(refused)
    await expect(openSender(relay.url, options as never)).rejects.toMatchObject(refused)
  }
  for (const receivers of [0, 9, 1.5]) {
    await expect(openSender(relay.url, { receivers })).rejects.toBeInstanceOf(RangeError)
  }
})

async function post(path: string, body: object): Promise<unknown> {
  const answer = await fetch(relay.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return answer.json()
}
