import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { EPITAPH_MS } from '../../src/protocol/limits.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { isAlone } from '../support/setting.ts'
import {
  admit,
  bytesOf,
  collect,
  errorOf,
  join,
  meet,
  nextRequest,
  openSender,
  outcomeOf,
  pair,
  sendAll,
  sha256,
} from './people.ts'
import { setting, startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

/** The ten steps of a pairing, as PROTOCOL.md lists them, through the SDK and a real relay on a real port. */

let relay: TestRelay
let clock: FakeClock

beforeEach(async () => {
  clock = new FakeClock()
  relay = await startRelay({ clock })
})
afterEach(() => relay.end())

/** Random bytes that are the same until they have been drawn so many times. */
function repeating(draws: number, length: number): (asked: number) => Uint8Array {
  let left = draws
  return (asked) => {
    if (asked === length && left-- > 0) return new Uint8Array(asked).fill(9)
    return crypto.getRandomValues(new Uint8Array(asked))
  }
}

/** The bytes a pairing code takes, and those of a receiver code. */
const CODE_DRAW = 10
const RECEIVER_CODE_DRAW = 6

async function post(path: string, body: unknown): Promise<{ status: number; code?: string }> {
  const response = await fetch(relay.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, ...((await response.json()) as { code?: string }) }
}

describe('step 1: the sender registers a random code with a time-out', () => {
  test('the code is 11 symbols, is new every time, and the time is the relay’s', async () => {
    const one = await openSender(relay.url, { ttlSeconds: 60 })
    const other = await openSender(relay.url)
    expect(one.sender.code).toMatch(/^[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{6}$/)
    expect(parsePairingCode(one.sender.code).text).toBe(one.sender.code)
    expect(other.sender.code).not.toBe(one.sender.code)
    expect(one.sender.link).toBe(`${relay.url}/#${one.sender.code}`)
    expect(one.sender.expiresInMs).toBeGreaterThan(55_000)
    expect(one.sender.expiresInMs).toBeLessThanOrEqual(60_000)
    if (isAlone) expect(relay.counters().sessions).toBe(2)
  })

  test('only the first half of the code is ever sent', async () => {
    const world = await DeviceWorld.create()
    const said: string[] = []
    world.onFetch = (send, url, init) => {
      said.push(url + JSON.stringify(init))
      return send()
    }
    const { sender } = await openSender(relay.url, { world })
    const { locator, secret } = parsePairingCode(sender.code)
    expect(said.join()).toContain(locator)
    expect(said.join()).not.toContain(secret)
  })
})

describe('step 2: a code that is in use is refused', () => {
  test('the SDK then takes another, both halves new', async () => {
    const worlds = [await DeviceWorld.create(), await DeviceWorld.create()]
    for (const world of worlds) world.random = repeating(1, CODE_DRAW)
    const first = await openSender(relay.url, { world: worlds[0] })
    const second = await openSender(relay.url, { world: worlds[1] })
    const [one, other] = [parsePairingCode(first.sender.code), parsePairingCode(second.sender.code)]
    expect(other.locator).not.toBe(one.locator)
    expect(other.secret).not.toBe(one.secret)
    expect((await post('/v1/sessions', { clientId: 'x', senderCode: one.locator })).code).toBe('code_in_use')
  })

  test('after four codes in use it gives up', async () => {
    const worlds = [await DeviceWorld.create(), await DeviceWorld.create()]
    for (const world of worlds) world.random = repeating(100, CODE_DRAW)
    await openSender(relay.url, { world: worlds[0] })
    let requests = 0
    worlds[1].onFetch = (send) => {
      requests++
      return send()
    }
    expect(await errorOf(openSender(relay.url, { world: worlds[1] }))).toBe('relay_refused')
    expect(requests).toBe(4)
  })
})

describe('step 3: the receiver enters the code, makes its own code and key pair, and uploads the public key', () => {
  test('it is then one that waits, and the secret half has stayed here', async () => {
    const { sender, requests } = await openSender(relay.url)
    const world = await DeviceWorld.create()
    const bodies: string[] = []
    world.onFetch = (send, _url, init) => {
      bodies.push(String(init.body))
      return send()
    }
    const { receiver } = await join(relay.url, sender.code.toLowerCase().replace('-', ' '), { world, name: 'a laptop' })
    const { locator, secret } = parsePairingCode(sender.code)
    expect(JSON.parse(bodies[0])).toEqual({
      senderCode: locator,
      receiverCode: receiver.receiverCode,
      publicKey: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      name: 'a laptop',
    })
    expect(bodies.join()).not.toContain(secret)
    const { value: request } = await requests.next()
    expect(request).toMatchObject({ receiverCode: receiver.receiverCode, name: 'a laptop' })
  })

  test('two receivers have different codes and different keys', async () => {
    const device = await openSender(relay.url, { receivers: 2 })
    const world = await DeviceWorld.create()
    const bodies: { receiverCode: string; publicKey: string }[] = []
    world.onFetch = (send, url, init) => {
      if (url.endsWith('/v1/receivers')) bodies.push(JSON.parse(String(init.body)))
      return send()
    }
    for (let i = 0; i < 2; i++) await join(relay.url, device.sender.code, { world })
    expect(bodies[0].receiverCode).not.toBe(bodies[1].receiverCode)
    expect(bodies[0].publicKey).not.toBe(bodies[1].publicKey)
  })
})

describe('step 4: an unknown sender code is refused', () => {
  test('as not found, whether it never was, is used up, or is over', async () => {
    const { sender, device } = await pair(relay.url)
    const used = sender.code
    expect(await errorOf(join(relay.url, used))).toBe('code_not_found')
    await device.sender.cancel()
    expect(await errorOf(join(relay.url, used))).toBe('code_not_found')
    expect(await errorOf(join(relay.url, 'K7QM3-XPDT28'))).toBe('code_not_found')
  })

  test('one that cannot be a code costs no request', async () => {
    const world = await DeviceWorld.create()
    world.onFetch = () => Promise.reject(new Error('nothing should be asked'))
    for (const typed of ['K7QM3-XPDT29', 'K7QM3', '', 'U7QM3-XPDT28', '__proto__']) {
      expect(await errorOf(join(relay.url, typed, { world }))).toBe('code_invalid')
    }
  })
})

describe('step 5: a repeated receiver code is refused', () => {
  test('the SDK then takes another', async () => {
    const device = await openSender(relay.url, { receivers: 2 })
    const worlds = [await DeviceWorld.create(), await DeviceWorld.create()]
    for (const world of worlds) world.random = repeating(1, RECEIVER_CODE_DRAW)
    const one = await join(relay.url, device.sender.code, { world: worlds[0] })
    const other = await join(relay.url, device.sender.code, { world: worlds[1] })
    expect(other.receiver.receiverCode).not.toBe(one.receiver.receiverCode)
    const again = await post('/v1/receivers', {
      senderCode: parsePairingCode(device.sender.code).locator,
      receiverCode: one.receiver.receiverCode,
      publicKey: 'A'.repeat(43),
    })
    expect(again).toMatchObject({ status: 409, code: 'receiver_code_in_use' })
  })
})

describe('step 6: the sender sees the waiting receivers, and approves or denies each', () => {
  test('an approved one gets what is sent, after both have shown the same number', async () => {
    const device = await openSender(relay.url)
    const { receiver } = await join(relay.url, device.sender.code)
    const request = await nextRequest(device)
    expect(await receiver.verified).toBe(request.matchNumber)
    expect(receiver.matchNumber).toMatch(/^\d{6}$/)
    expect(receiver.fingerprint).toBe(request.fingerprint)
    await request.approve()
    const collecting = collect(receiver)
    const [receipt] = await device.sender.send([bytesSource(Buffer.from('hello'), 'a.txt')])
    expect(outcomeOf(receipt)).toBe(5)
    await device.sender.close()
    expect(await collecting).toHaveLength(1)
  })

  test('a denied one is told so, as the relay’s word, and the code is retired', async () => {
    const { device, receiver, request } = await meet(relay.url)
    const refused = errorOf(collect(receiver))
    await request.deny()
    expect(await refused).toBe('denied')
    expect(await errorOf(join(relay.url, device.sender.code))).toBe('code_not_found')
    expect((await device.requests.next()).done).toBe(true)
    expect(await errorOf(device.sender.send([bytesSource(Buffer.from('hello'), 'a.txt')]))).toBe('nobody_approved')
  })

  test('before it is approved, a receiver gets nothing', async () => {
    const device = await openSender(relay.url)
    await join(relay.url, device.sender.code)
    await nextRequest(device)
    expect(await errorOf(device.sender.send([bytesSource(Buffer.from('hello'), 'a.txt')]))).toBe('nobody_approved')
  })
})

describe('step 7: the same for more devices', () => {
  test('as many as the sender wants, each with a number of its own', async () => {
    const { sender, receivers } = await pair(relay.url, { receivers: 3 })
    expect(new Set(receivers.map(({ receiver }) => receiver.matchNumber)).size).toBe(3)
    const collecting = receivers.map(({ receiver }) => collect(receiver))
    const receipts = await sender.send([bytesSource(bytesOf(100_000), 'a')])
    expect(receipts.map(outcomeOf)).toEqual([100_000, 100_000, 100_000])
    expect(receipts.map(({ matchNumber }) => matchNumber)).toEqual(
      receivers.map(({ receiver }) => receiver.matchNumber),
    )
    await sender.close()
    for (const [[item]] of await Promise.all(collecting)) expect(item.sha256).toBe(sha256(bytesOf(100_000)))
  })
})

describe('step 8: the sender encrypts for each approved key and sends, the receiver decrypts', () => {
  test('what arrives is what was sent, and nobody between has seen any of it', async () => {
    const marker = Buffer.from('this is the secret document, in the clear')
    const world = await DeviceWorld.create()
    const onWire: Buffer[] = []
    world.hooks.outgoing = (data) => {
      onWire.push(Buffer.from(data))
      return data
    }
    const { sender, receiver } = await pair(relay.url, { sender: { world } })
    const collecting = collect(receiver)
    const bytes = Buffer.concat([marker, bytesOf(1_000_000), marker])
    await sender.send([bytesSource(bytes, 'plans.txt', 'text/plain')])
    await sender.close()
    expect(await collecting).toEqual([
      [{ path: 'plans.txt', size: bytes.length, type: 'text/plain', bytes: bytes.length, sha256: sha256(bytes) }],
    ])
    const wire = Buffer.concat(onWire)
    expect(wire.length).toBeGreaterThan(bytes.length)
    expect(wire.includes(marker)).toBe(false)
    expect(wire.includes('plans.txt')).toBe(false)
  })
})

describe('step 9: received and decrypted, the receiver cleans up', () => {
  test('the relay keeps neither its key nor its channel, while the session goes on', async () => {
    const device = await openSender(relay.url, { receivers: 2 })
    const { receiver } = await admit(relay.url, device)
    const collecting = errorOf(collect(receiver))
    await device.sender.send([bytesSource(bytesOf(1_000), 'a')])
    await receiver.close()
    expect(await collecting).toBe('aborted')
    await until('the relay drops the channel', () => relay.counters().mailboxes + relay.counters().grants === 0)
    expect(relay.counters()).toMatchObject({
      ...(isAlone ? { sessions: 1 } : {}),
      grants: 0,
      grantedBytes: 0,
      unackedBytes: 0,
    })
  })

  test('after the goodbye nothing is left but the epitaph, which says completed', async () => {
    const { sender, receiver } = await pair(relay.url)
    const collecting = collect(receiver)
    await sendAll(sender, 1_000, collecting)
    await until('the sockets close', () => relay.counters().webSockets === 0)
    expect(relay.counters()).toMatchObject({ ...(isAlone ? { sessions: 1 } : {}), mailboxes: 0, grants: 0 })
    clock.advance(EPITAPH_MS)
    await relay.tick()
    expect(relay.counters()).toMatchObject({ ...(isAlone ? { sessions: 0 } : {}), storeEntries: 0 })
  })
})

describe('step 10: all of it within the time-out', () => {
  test('then everything is gone, both are told, and the code is free again after the epitaph', async () => {
    const device = await openSender(relay.url, { ttlSeconds: 60, receivers: 2 })
    const approved = await admit(relay.url, device)
    const waiting = await join(relay.url, device.sender.code)
    await waiting.receiver.verified
    const ends = [errorOf(collect(approved.receiver)), errorOf(collect(waiting.receiver))]
    await nextRequest(device)
    const noMore = errorOf(device.requests.next())
    clock.advance(59_999)
    await relay.tick()
    if (setting.webSocketsPass) expect(relay.counters().sockets).toBe(3)
    expect(relay.counters().grants).toBeGreaterThan(0)
    clock.advance(1)
    await relay.tick()
    expect(await Promise.all([...ends, noMore])).toEqual(['expired', 'expired', 'expired'])
    expect(await errorOf(join(relay.url, device.sender.code))).toBe('code_not_found')
    clock.advance(EPITAPH_MS)
    await relay.tick()
    expect(relay.counters()).toMatchObject({
      ...(isAlone ? { sessions: 0 } : {}),
      storeEntries: 0,
      mailboxes: 0,
      grants: 0,
    })
    const { locator } = parsePairingCode(device.sender.code)
    expect((await post('/v1/sessions', { clientId: 'x', senderCode: locator })).status).toBe(201)
  })
})
