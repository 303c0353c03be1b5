import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { bytesSource, type Offer, type Receiver, streamSource } from '../../src/client/index.ts'
import { SenderHandshake } from '../../src/crypto/handshake.ts'
import { ciphertextOf, decodeFrame, FRAME_DATA } from '../../src/protocol/frame.ts'
import { DEFAULT_SETTINGS } from '../support/relay.ts'
import { hasFrames } from '../support/setting.ts'
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
  sha256,
} from './people.ts'
import { startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

let relay: TestRelay

beforeEach(async () => {
  relay = await startRelay()
})
afterEach(async () => {
  vi.restoreAllMocks()
  await relay.end()
})

/** A sender and so many receivers that are verified, none of them decided about. */
async function verified(count: number, receivers = count) {
  const device = await openSender(relay.url, { receivers })
  const joined = []
  for (let i = 0; i < count; i++) {
    const { receiver } = await join(relay.url, device.sender.code)
    const request = await nextRequest(device)
    await receiver.verified
    joined.push({ receiver, request })
  }
  return { ...device, joined }
}

describe('several receivers', () => {
  test('one of three that is denied gets nothing and is told, the others get everything', async () => {
    const { sender, joined } = await verified(3, 2)
    const outcomes = joined.map(({ receiver }) => collect(receiver).catch((error) => error.code))
    for (const { request } of joined.slice(0, 2)) await sender.approveNumber(request.matchNumber)
    await joined[2].request.deny()
    expect(await sendAll(sender, 1_000)).toEqual([1_000, 1_000])
    const [one, other, denied] = await Promise.all(outcomes)
    expect([one.length, other.length, denied]).toEqual([1, 1, 'denied'])
  })

  test('one that leaves in the middle costs the others nothing', async () => {
    const payload = bytesOf(5_000_000)
    const { sender, receivers } = await pair(relay.url, { receivers: 3 })
    const collecting = receivers.slice(1).map(({ receiver }) => collect(receiver))
    const leaving = leaveInTheMiddle(receivers[0].receiver)
    const receipts = await sender.send([bytesSource(payload, 'a')])
    await leaving
    expect(receipts.map(outcomeOf)).toEqual(['receiver_failed', 5_000_000, 5_000_000])
    await sender.close()
    for (const [[item]] of await Promise.all(collecting)) expect(item.sha256).toBe(sha256(payload))
  })

  test('each has its own encryption: no frame of one looks like a frame of another', async () => {
    const world = await DeviceWorld.create()
    const frames = new Map<number, Buffer[]>()
    world.hooks.outgoing = (data) => {
      if (typeof data === 'string') return data
      const frame = decodeFrame(data)
      const copy = Buffer.from(ciphertextOf(frame))
      if (frame.type === FRAME_DATA) frames.set(frame.channel, [...(frames.get(frame.channel) ?? []), copy])
      return data
    }
    const { sender, receivers } = await pair(relay.url, { receivers: 2, sender: { world } })
    const collecting = receivers.map(({ receiver }) => collect(receiver))
    await sendAll(sender, 600_000)
    await Promise.all(collecting)
    const [one = [], other = []] = frames.values()
    expect(one.map(({ length }) => length)).toEqual(other.map(({ length }) => length))
    for (const [i, frame] of one.entries()) {
      const same = frame.filter((byte, at) => byte === other[i][at]).length
      // 1 in 256 by chance; the flag byte is equal by design.
      expect(same).toBeLessThan(frame.length / 20 + 5)
    }
  })

  test('a pipe cannot go to two of them', async () => {
    const { sender, receivers } = await pair(relay.url, { receivers: 2 })
    const pipe = streamSource(new Blob(['hello']).stream(), 'pipe')
    expect(await errorOf(sender.send([pipe]))).toBe('already_sent')
    await receivers[0].receiver.close()
    await until('the sender knows', () => relay.counters().mailboxes === 2)
  })
})

describe('a receiver that stands still', () => {
  const payload = bytesOf(8_000_000)

  test('because its app does not read does not slow the others, and costs the relay nothing', async () => {
    const { sender, receivers } = await pair(relay.url, { receivers: 3 })
    const [still, ...others] = receivers
    const sending = sender.send([bytesSource(payload, 'a')])
    const { offer } = await firstOffer(still.receiver)
    const items = offer.accept()
    const { value: item } = await items.next()
    if (!item) throw new Error('there was no item')
    const reader = item.stream.getReader()
    await reader.read()
    const done = others.map(async ({ receiver }) => {
      const { value } = await receiver.offers().next()
      return value && (await bytesIn(value))
    })
    expect(await Promise.all(done)).toEqual([payload.length, payload.length])
    await until('its SDK has acked what the app has not read', () => relay.counters().unackedBytes === 0)

    for (let { done } = await reader.read(); !done; ) ({ done } = await reader.read())
    await items.next()
    expect((await sending).map(outcomeOf)).toEqual([payload.length, payload.length, payload.length])
  })

  test('because its network does, too', async () => {
    const { sender, receivers } = await pair(relay.url, { receivers: 2 })
    const [still, other] = receivers
    const stillCollecting = collect(still.receiver, {
      onProgress: ({ bytes }) => {
        if (bytes < 500_000) still.world.socket.pause()
      },
    })
    const sending = sender.send([bytesSource(payload, 'a')])
    let [readByOther, deliveredToOther] = [0, false]
    const collecting = collect(other.receiver, {
      onProgress: ({ bytes }) => {
        readByOther = bytes
      },
      beforeReceipt: async () => {
        deliveredToOther = true
      },
    })
    await until('the other has everything', () => deliveredToOther)
    expect(readByOther).toBe(payload.length)
    await until('it has acked that', () => relay.counters().unackedBytes <= DEFAULT_SETTINGS.windowBytes)
    if (hasFrames) expect(relay.counters().unackedBytes).toBeGreaterThan(1_000_000)
    still.world.socket.resume()
    expect((await sending).map(outcomeOf)).toEqual([payload.length, payload.length])
    await sender.close()
    expect(await Promise.all([stillCollecting, collecting])).toHaveLength(2)
  })
})

describe('approving', () => {
  test('with one verified device takes one tap', async () => {
    const { joined } = await verified(1)
    await joined[0].request.approve()
  })

  test('with two of them takes typing: a tap approves neither, whichever it was for', async () => {
    const { joined, sender } = await verified(2, 1)
    for (const { request } of joined) expect(await errorOf(request.approve())).toBe('typing_required')
    expect(await errorOf(sender.approveNumber('000000'))).toBe('no_such_number')
    expect(await errorOf(sender.approveNumber(''))).toBe('no_such_number')
    const { matchNumber } = joined[1].request
    const typed = ` ${matchNumber.slice(0, 3)} ${matchNumber.slice(3)}\n`
    expect((await sender.approveNumber(typed)).matchNumber).toBe(matchNumber)
    const collecting = collect(joined[1].receiver)
    expect(await sendAll(sender, 10, collecting)).toEqual([10])
  })

  test('of a number that two devices show is refused, for both', async () => {
    const original = SenderHandshake.prototype.answerM3
    vi.spyOn(SenderHandshake.prototype, 'answerM3').mockImplementation(function (this: SenderHandshake, m3) {
      const { m4, peer } = original.call(this, m3)
      return { m4, peer: { ...peer, matchNumber: '482913' } }
    })
    const { sender, joined } = await verified(2)
    const decided = errorOf(collect(joined[0].receiver))
    expect(await errorOf(sender.approveNumber('482 913'))).toBe('number_not_unique')
    await joined[0].receiver.close()
    await decided
    // A receiver that has left may still show the number to somebody.
    expect(await errorOf(sender.approveNumber('482 913'))).toBe('number_not_unique')
  })

  test('goes as far as the sender asked for, and not one further', async () => {
    const { sender, joined } = await verified(3, 2)
    for (const { request } of joined.slice(0, 2)) await sender.approveNumber(request.matchNumber)
    expect(await errorOf(sender.approveNumber(joined[2].request.matchNumber))).toBe('session_full')
  })

  test('of two at once does not go further either', async () => {
    const { sender, joined, world } = await verified(2, 1)
    const decisions: string[] = []
    world.onFetch = (send, url) => {
      if (url.endsWith('/decision')) decisions.push(url)
      return send()
    }
    const outcomes = await Promise.all(joined.map(({ request }) => errorOf(sender.approveNumber(request.matchNumber))))
    expect(outcomes).toEqual([undefined, 'session_full'])
    expect(decisions).toHaveLength(1)
  })

  test('retires the code with the last device it allows', async () => {
    const device = await openSender(relay.url, { receivers: 2 })
    await admit(relay.url, device)
    await admit(relay.url, device)
    expect(await errorOf(join(relay.url, device.sender.code))).toBe('code_not_found')
    expect((await device.requests.next()).done).toBe(true)
  })

  test('that fails because the last device left meanwhile retires the code all the same', async () => {
    const { sender, joined, requests, world } = await verified(1)
    world.onFetch = async (send, url) => {
      const answer = await send()
      if (url.endsWith('/decision')) {
        await joined[0].receiver.close()
        await joined[0].request.ended
      }
      return answer
    }
    expect(await errorOf(joined[0].request.approve())).toBe('not_delivered')
    expect((await requests.next()).done).toBe(true)
    await expect.poll(() => errorOf(join(relay.url, sender.code))).toBe('code_not_found')
  })

  test('of a device that has left says so', async () => {
    const { joined, world } = await verified(1)
    await joined[0].receiver.close()
    await until('the sender is told', () => relay.counters().mailboxes === 0)
    await expect.poll(() => errorOf(joined[0].request.approve())).toBe('receiver_left')
    expect(world.openSockets.size).toBe(1)
  })

  test('lets no payload out before the relay has said yes, however early the app sends', async () => {
    const { sender, joined, world } = await verified(1)
    let answer = () => {}
    const held = new Promise<void>((resolve) => {
      answer = resolve
    })
    world.onFetch = async (send) => {
      await held
      return send()
    }
    const seqs: number[] = []
    world.hooks.outgoing = (data) => {
      if (typeof data !== 'string') seqs.push(decodeFrame(data).seq)
      return data
    }
    const approving = joined[0].request.approve()
    const again = joined[0].request.approve()
    expect(await errorOf(sender.send([bytesSource(bytesOf(10), 'a')]))).toBe('nobody_approved')
    expect(Math.max(0, ...seqs)).toBeLessThan(3)
    answer()
    await Promise.all([approving, again])
    const collecting = collect(joined[0].receiver)
    expect(await sendAll(sender, 10, collecting)).toEqual([10])
  })
})

describe('denying', () => {
  test('a device that comes in just then is turned away, and does not wait for ever', async () => {
    const { sender, joined, world } = await verified(1, 2)
    // The relay hears of the refusal late, so the code still works there.
    world.onFetch = async (send, url) => {
      if (url.endsWith('/code')) await late
      return send()
    }
    const late = join(relay.url, sender.code)
    const denying = joined[0].request.deny()
    const { receiver } = await late
    expect(await errorOf(receiver.verified)).toBe('denied')
    await denying
    expect(sender.verifiedCount).toBe(1)
    expect(await errorOf(join(relay.url, sender.code))).toBe('code_not_found')
  })
})

/** Accepts an offer and counts. Resolves when its receipt was acked. */
async function bytesIn(offer: Offer): Promise<number> {
  let bytes = 0
  for await (const { stream } of offer.accept()) for await (const piece of stream) bytes += piece.length
  return bytes
}

async function leaveInTheMiddle(receiver: Receiver): Promise<void> {
  const { value: offer } = await receiver.offers().next()
  for await (const { stream } of offer?.accept() ?? []) {
    await stream.getReader().read()
    break
  }
  await (await receiver.approved).close()
}
