import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FailedAttempts } from '../../src/client/index.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { decodeFrame, FRAME_DATA } from '../../src/protocol/frame.ts'
import { FakeTime } from '../client/fake-time.ts'
import { collect, errorOf, join, nextRequest, openSender, pair, sendAll, wrongCode } from './people.ts'
import { RawReceiver, RawSender } from './raw-peers.ts'
import { setting, startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, freshAddress, until } from './world.ts'

let relay: TestRelay

beforeEach(async () => {
  relay = await startRelay({ trustProxy: ['127.0.0.1'] })
})
afterEach(() => relay.end())

/** A receiver that spends one guess: everything by the rules, but for the secret. */
async function spendGuess(code: string): Promise<RawReceiver> {
  const attacker = await RawReceiver.join(relay.url, wrongCode(code))
  attacker.send(attacker.m1())
  attacker.send(attacker.m3(await attacker.next()))
  await attacker.socket.until((view) => view?.receivers[0]?.state === 'denied')
  return attacker
}

async function watchedSender(receivers = 1, time?: FakeTime) {
  const failures: FailedAttempts[] = []
  const world = await DeviceWorld.create(time)
  /** Channels on which an m1 has come, and those on which an m2 went out. */
  const [asked, answered] = [new Set<number>(), new Set<number>()]
  const watch = (seen: Set<number>) => (data: string | Uint8Array) => {
    if (typeof data !== 'string' && isData(data, 1)) seen.add(decodeFrame(data).channel)
    return data
  }
  world.hooks.incoming = watch(asked)
  world.hooks.outgoing = watch(answered)
  const onFailedAttempt = (failed: FailedAttempts) => void failures.push(failed)
  const device = await openSender(relay.url, { receivers, world, onFailedAttempt })
  return { ...device, device, failures, asked, answered }
}

/** The reason a raw receiver was denied for, once it is. */
async function denialOf({ socket }: RawReceiver): Promise<string | undefined> {
  await socket.until((view) => view?.receivers[0]?.state === 'denied')
  return socket.view?.receivers[0].reason
}

describe('a wrong second half', () => {
  test('is never listed; the sender is told how many tried, and the one who typed it that it was wrong', async () => {
    const { sender, device, failures } = await watchedSender()
    for (let count = 1; count <= 2; count++) {
      const { receiver } = await join(relay.url, wrongCode(sender.code).text)
      expect(await errorOf(receiver.verified)).toBe('wrong_code')
      expect(await errorOf(collect(receiver))).toBe('wrong_code')
      await until('the sender is told', () => failures.length === count)
    }
    expect(failures).toEqual([
      { wrongCode: 1, timedOut: 0, invalid: 0 },
      { wrongCode: 2, timedOut: 0, invalid: 0 },
    ])
    expect(sender.failedAttempts).toEqual({ wrongCode: 2, timedOut: 0, invalid: 0 })
    expect(sender.verifiedCount).toBe(0)
    const { receiver } = await join(relay.url, sender.code)
    expect((await nextRequest(device)).receiverCode).toBe(receiver.receiverCode)
  })

  test('the error says nothing of the code', async () => {
    const { sender } = await watchedSender()
    const typed = wrongCode(sender.code)
    const { receiver } = await join(relay.url, typed.text)
    const error = await receiver.verified.catch((reason: Error) => reason)
    expect(String(error)).toContain('The code was wrong or someone interfered. Get a new code.')
    expect(String(error)).not.toContain(typed.secret)
  })
})

describe('the sender’s budget', () => {
  test('five wrong guesses retire the code; nobody who waits or comes later gets an m2', async () => {
    const { sender, device, answered } = await watchedSender(2)
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(sender.code))
    for (let i = 0; i < 5; i++) await spendGuess(sender.code)
    expect((await device.requests.next()).done).toBe(true)
    expect(await denialOf(attacker)).toBe('rejected')
    attacker.send(attacker.m1())
    // A node that has not heard of the denial yet keeps it for nobody.
    await until('the relay discards its m1', () => relay.discards.includes('channel_ended'))
    expect(answered).not.toContain(attacker.channel)
    expect(await errorOf(join(relay.url, sender.code))).toBe('code_not_found')
  })

  test('four leave one, whatever goes well in between', async () => {
    const { sender, device } = await watchedSender(2)
    for (let i = 0; i < 4; i++) await spendGuess(sender.code)
    const { receiver } = await join(relay.url, sender.code)
    const request = await nextRequest(device)
    await receiver.verified
    expect(await errorOf(request.approve())).toBe('typing_required')
    await sender.approveNumber(request.matchNumber)
    await spendGuess(sender.code)
    expect((await device.requests.next()).done).toBe(true)
    expect(await errorOf(join(relay.url, sender.code))).toBe('code_not_found')
    const collecting = collect(receiver)
    expect(await sendAll(sender, 10, collecting)).toEqual([10])
  })

  test('a device that was verified before can still be approved', async () => {
    const { sender, device } = await watchedSender(1)
    const { receiver } = await join(relay.url, sender.code)
    const request = await nextRequest(device)
    await receiver.verified
    for (let i = 0; i < 5; i++) await spendGuess(sender.code)
    await sender.approveNumber(request.matchNumber)
    const collecting = collect(receiver)
    expect(await sendAll(sender, 10, collecting)).toEqual([10])
  })

  test('what is no guess costs none: rubbish, a broken commitment, a receiver code of another shape', async () => {
    const { sender, device, failures } = await watchedSender()
    const { locator } = parsePairingCode(sender.code)
    const attackers = [
      async (raw: RawReceiver) => raw.send(new Uint8Array(7)),
      // An ML-KEM key outside the modulus.
      async (raw: RawReceiver) => raw.send(raw.m1().fill(0xff, 64)),
      async (raw: RawReceiver) => {
        const m1 = raw.m1()
        m1[32] ^= 1
        raw.send(m1)
        raw.send(raw.m3(await raw.next()))
      },
      async (raw: RawReceiver) => {
        raw.send(raw.m1())
        await raw.next()
        raw.send(new Uint8Array(64))
      },
    ]
    for (const attack of attackers) {
      for (let i = 0; i < 2; i++) {
        const code = { ...parsePairingCode(sender.code), locator }
        // The relay would ban one source after five.
        const attacker = await RawReceiver.join(relay.url, code, { source: `192.0.2.${i}` })
        await attack(attacker)
        expect(await denialOf(attacker)).toBe('handshake_invalid')
      }
    }
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(sender.code), { receiverCode: 'not-ours_1' })
    expect(await denialOf(attacker)).toBe('handshake_invalid')
    await until('all are counted', () => failures.length === 9)
    const { receiver } = await join(relay.url, sender.code)
    expect((await nextRequest(device)).matchNumber).toBe(await receiver.verified)
  })

  test('a nonce that was used in this session before is not answered', async () => {
    const { sender, device, answered } = await watchedSender(2)
    const code = parsePairingCode(sender.code)
    const first = await RawReceiver.join(relay.url, code)
    const m1 = first.m1()
    first.send(m1)
    first.send(first.m3(await first.next()))
    await nextRequest(device)
    const attacker = await RawReceiver.join(relay.url, code)
    const replay = attacker.m1()
    replay.set(m1.subarray(0, 32))
    attacker.send(replay)
    expect(await denialOf(attacker)).toBe('handshake_invalid')
    expect([...answered]).toEqual([first.channel])
  })
})

describe('the receiver’s budget', () => {
  /** Counts the tags a device emits, a resend of the same bytes not being a new one. */
  async function countingWorld() {
    const world = await DeviceWorld.create()
    const tags = new Set<string>()
    let frames = 0
    world.hooks.outgoing = (data) => {
      if (typeof data === 'string') return data
      const { type, seq, bytes } = decodeFrame(data)
      if (type === FRAME_DATA && seq === 2) {
        frames++
        tags.add(Buffer.from(bytes).toString('hex'))
      }
      return data
    }
    return { world, tags, frames: () => frames }
  }

  test('three tags are emitted for one code, and then a new code is the way out', async () => {
    const { world, tags } = await countingWorld()
    const attacker = await RawSender.open(relay.url)
    for (let i = 1; i <= 3; i++) {
      const { receiver } = await join(relay.url, attacker.code.text, { world })
      const handshake = await attacker.awaitReceiver(i)
      attacker.send(handshake.answerM1(await attacker.next(i)), i)
      await attacker.next(i)
      attacker.send(new Uint8Array(64), i)
      expect(await errorOf(receiver.verified)).toBe('wrong_code')
      expect(tags.size).toBe(i)
    }
    expect(await errorOf(join(relay.url, attacker.code.text, { world }))).toBe('attempts_used_up')
    expect(await errorOf(join(relay.url, attacker.code.text.toLowerCase().replace('-', ''), { world }))).toBe(
      'attempts_used_up',
    )
    expect(tags.size).toBe(3)
  })

  test('runs side by side share it', async () => {
    const { world, tags } = await countingWorld()
    // Of one address only two may wait.
    world.address = freshAddress
    const { sender } = await watchedSender(4)
    const joined = await Promise.all([1, 2, 3, 4].map(() => join(relay.url, sender.code, { world })))
    const outcomes = await Promise.all(joined.map(({ receiver }) => errorOf(receiver.verified)))
    expect(outcomes.filter((outcome) => outcome === undefined)).toHaveLength(3)
    expect(outcomes.filter((outcome) => outcome === 'attempts_used_up')).toHaveLength(1)
    expect(tags.size).toBe(3)
  })

  test('cutting the network around m3 makes it send the same bytes again, not another tag', async () => {
    const { world, tags, frames } = await countingWorld()
    const count = world.hooks.outgoing
    let left = 5
    world.hooks.outgoing = (data, socket) => {
      count?.(data, socket)
      if (typeof data !== 'string' && decodeFrame(data).seq === 2 && left-- > 0) {
        queueMicrotask(() => socket.cut())
        return left > 0 ? undefined : data
      }
      return data
    }
    const { receiver } = await pair(relay.url, { receiver: { world } })
    expect(receiver.matchNumber).toMatch(/^\d{6}$/)
    expect(tags.size).toBe(1)
    // Count a frame that a WebSocket took just before the cut; over HTTP it was not sent.
    expect(frames()).toBe(setting.webSocketsPass ? 5 : 6)
  })

  test('a second m2 is never answered', async () => {
    const { world, tags } = await countingWorld()
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text, { world })
    const m1 = await attacker.next()
    const [one, other] = [await attacker.awaitReceiver(), await attacker.awaitReceiver()]
    attacker.send(one.answerM1(m1))
    attacker.send(other.answerM1(m1))
    expect(await errorOf(receiver.verified)).toBe('wrong_code')
    expect(tags.size).toBe(1)
  })

  test('no tag is emitted for an m2 that cannot be one', async () => {
    const { world, tags } = await countingWorld()
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text, { world })
    await attacker.next()
    attacker.send(new Uint8Array(1184))
    expect(await errorOf(receiver.verified)).toBe('wrong_code')
    expect(tags.size).toBe(0)
  })
})

describe('handshakes', () => {
  test('whoever waits is answered at once, however many hold an m2 and are gone', async () => {
    const { sender, device } = await watchedSender()
    const code = parsePairingCode(sender.code)
    for (let i = 0; i < 6; i++) {
      const attacker = await RawReceiver.join(relay.url, code, { source: `192.0.2.${i}` })
      attacker.send(attacker.m1())
      await attacker.next()
      await attacker.close()
    }
    const { receiver } = await join(relay.url, sender.code)
    expect((await nextRequest(device)).matchNumber).toBe(await receiver.verified)
    expect(sender.waitingUnproven).toBeGreaterThan(0)
    expect(sender.typingRequired).toBe(true)
  })
})

describe('a handshake that takes too long', () => {
  /** A sender whose clock runs, for a receiver that has sent nothing. */
  async function awaitingM1() {
    const time = new FakeTime()
    const watched = await watchedSender(1, time)
    const raw = await RawReceiver.join(relay.url, parsePairingCode(watched.sender.code))
    await until('its clock runs', () => time.due.includes(20_000))
    return { ...watched, time, raw }
  }

  test('20 s without m1: denied, and said to be late, not wrong', async () => {
    const { time, failures, raw: attacker } = await awaitingM1()
    await time.advance(19_999)
    expect(failures).toEqual([])
    await time.advance(1)
    expect(await denialOf(attacker)).toBe('handshake_timeout')
    expect(failures).toEqual([{ wrongCode: 0, timedOut: 1, invalid: 0 }])
  })

  test('20 s without m3: the same, however long m1 took', async () => {
    const { time, failures, raw: attacker } = await awaitingM1()
    await time.advance(15_000)
    attacker.send(attacker.m1())
    await attacker.next()
    await until('its clock runs again', () => time.due.includes(20_000))
    await time.advance(19_999)
    expect(failures).toEqual([])
    await time.advance(1)
    expect(await denialOf(attacker)).toBe('handshake_timeout')
  })

  test('time counts only while the receiver is there', async () => {
    const { time, device, failures, raw } = await awaitingM1()
    await time.advance(14_000)
    await raw.socket.close()
    await until('its clock stands', () => !time.due.includes(6_000))
    await time.advance(30_000)
    expect(failures).toEqual([])
    await raw.attach()
    await until('its clock runs on', () => time.due.includes(6_000))
    // The rest is long enough to be the test's to end, also when a view sets the clock anew.
    await time.advance(5_900)
    expect(failures).toEqual([])
    const finishing = raw.shakeHands()
    expect((await nextRequest(device)).matchNumber).toBe((await finishing).matchNumber)
  })

  test('60 s in all are the most, also for who comes and goes', async () => {
    const { time, failures, raw: attacker } = await awaitingM1()
    await time.advance(14_000)
    await attacker.socket.close()
    await until('its clock stands', () => !time.due.includes(6_000))
    await time.advance(45_999)
    expect(failures).toEqual([])
    await time.advance(1)
    expect(failures).toEqual([{ wrongCode: 0, timedOut: 1, invalid: 0 }])
  })

  test('the receiver says after 20 s with a sender that gives no m2 that it is busy, and waits on', async () => {
    const time = new FakeTime()
    const attacker = await RawSender.open(relay.url)
    const busy: string[] = []
    const onBusy = (who: string) => void busy.push(who)
    const world = await DeviceWorld.create(time)
    const { receiver } = await join(relay.url, attacker.code.text, { world, onBusy })
    const m1 = await attacker.next()
    await until('its clock runs', () => time.due.includes(20_000))
    await time.advance(20_000)
    expect(busy).toEqual(['sender'])
    await time.advance(100_000)
    const handshake = await attacker.awaitReceiver()
    attacker.send(handshake.answerM1(m1))
    const { m4, peer } = handshake.answerM3(await attacker.next())
    attacker.send(m4)
    expect(await receiver.verified).toBe(peer.matchNumber)
    expect(busy).toEqual(['sender'])
  })

  test('the receiver waits 20 s for m4, while the sender is there', async () => {
    const time = new FakeTime()
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text, { world: await DeviceWorld.create(time) })
    const end = errorOf(receiver.verified)
    const handshake = await attacker.awaitReceiver()
    attacker.send(handshake.answerM1(await attacker.next()))
    await attacker.next()
    await until('its clock runs', () => time.due.includes(20_000))
    await time.advance(12_000)
    await attacker.socket.close()
    await until('its clock stands', () => !time.due.includes(8_000))
    await time.advance(40_000)
    await attacker.attach()
    await until('its clock runs on', () => time.due.includes(8_000))
    await time.advance(8_000)
    expect(await end).toBe('handshake_timeout')
    await receiver.close()
    expect(time.outstanding).toBe(0)
  })

  test('once it is over no clock runs any more, however long the people take and whatever views come', async () => {
    const times = [new FakeTime(), new FakeTime()]
    const { sender, device } = await watchedSender(2, times[0])
    const { receiver } = await join(relay.url, sender.code, { world: await DeviceWorld.create(times[1]) })
    const request = await nextRequest(device)
    await receiver.verified
    await request.approve()
    const collecting = collect(receiver)
    for (let i = 0; i < 3; i++) {
      // Somebody else who comes and goes makes the relay send views.
      const other = await RawReceiver.join(relay.url, parsePairingCode(sender.code))
      await other.leave()
      await other.close()
      for (const time of times) await time.advance(21_000)
    }
    expect(await sendAll(sender, 10, collecting)).toEqual([10])
  })
})

describe('a device that verified', () => {
  test('and left is still a row: from then on the number must be typed', async () => {
    const { sender, device } = await watchedSender()
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(sender.code))
    const { matchNumber } = await attacker.shakeHands()
    await attacker.leave()
    await attacker.close()
    const gone = await nextRequest(device)
    expect(gone.matchNumber).toBe(matchNumber)
    const { receiver } = await join(relay.url, sender.code)
    const request = await nextRequest(device)
    await receiver.verified
    expect(sender.verifiedCount).toBe(2)
    expect(await errorOf(request.approve())).toBe('typing_required')
    expect(await errorOf(sender.approveNumber(matchNumber))).toBe('receiver_left')
    await sender.approveNumber(request.matchNumber)
  })

  test('is a row before m4 goes out, so that nobody knows the number unseen', async () => {
    const { sender, device } = await watchedSender()
    const counts: number[] = []
    device.world.hooks.outgoing = (data) => {
      if (typeof data !== 'string' && isData(data, 2)) counts.push(sender.verifiedCount)
      return data
    }
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(sender.code))
    await attacker.shakeHands()
    expect(counts).toEqual([1])
  })
})

function isData(bytes: Uint8Array, seq: number): boolean {
  const frame = decodeFrame(bytes)
  return frame.type === FRAME_DATA && frame.seq === seq
}
