import { describe, expect, onTestFinished, test } from 'vitest'
import { bytesSource, type PairedDevice, Receiver, type ReceiverOptions, Sender } from '../../src/client/index.ts'
import { readConfig } from '../../src/server/config.ts'
import { TestClock, type TestDevice, TestRelay } from '../../src/testing/index.ts'
import { SETTINGS } from '../../src/testing/settings.ts'

interface Pair {
  readonly relay: TestRelay
  readonly laptop: TestDevice
  readonly phone: TestDevice
  readonly sender: PairedDevice
  readonly receiver: PairedDevice
}

const TAKES = { offers: true, posts: true }

/** Two devices that are paired, over a relay in memory. */
async function pair(clock?: TestClock, options: Partial<ReceiverOptions> = {}): Promise<Pair> {
  const relay = new TestRelay({ clock })
  onTestFinished(() => relay.close())
  const laptop = relay.device()
  const phone = relay.device()
  const sender = await Sender.open({ relay: relay.url, takes: TAKES, environment: laptop.environment })
  const receiver = await Receiver.join({ ...options, link: sender.link, takes: TAKES, environment: phone.environment })
  const request = await first(sender.requests())
  expect(request.matchNumber).toBe(await receiver.verified)
  const [ofSender, ofReceiver] = await Promise.all([request.approve(), receiver.approved])
  return { relay, laptop, phone, sender: ofSender, receiver: ofReceiver }
}

async function first<T>(all: AsyncIterable<T>): Promise<T> {
  for await (const each of all) return each
  return expect.unreachable('there is none')
}

/** Sends a payload, and resolves with what arrived. */
async function handOver(
  { sender, receiver }: Pick<Pair, 'sender' | 'receiver'>,
  payload: Uint8Array,
): Promise<Uint8Array> {
  const sent = sender.send([bytesSource(payload, 'payload.bin')])
  for await (const offer of receiver.offers()) {
    for await (const item of offer.accept()) {
      const bytes = new Uint8Array(await new Response(item.stream).arrayBuffer())
      void sent.catch(() => {})
      return bytes
    }
  }
  return expect.unreachable('no offer came')
}

const PAYLOAD = Buffer.from(new Uint8Array(2_500_000).map((_, at) => at * 31))

describe('a relay in memory', () => {
  test('has the limits of a relay whose operator sets nothing', () => {
    expect(readConfig({})).toMatchObject(SETTINGS)
  })

  test('pairs two devices, which hand over more than a window holds', async () => {
    const devices = await pair()
    expect(PAYLOAD.equals(await handOver(devices, PAYLOAD))).toBe(true)
  })

  test('carries posts and their answers', async () => {
    const { sender, receiver } = await pair()
    const reply = sender.ask(new Uint8Array([1]), { type: 'question' })
    for await (const post of receiver.posts()) {
      await post.reply(new Uint8Array([...post.bytes, 2]))
      break
    }
    expect((await reply).bytes).toEqual(new Uint8Array([1, 2]))
  })

  test('tells who is paired that it is shutting down when it is closed', async () => {
    const { relay, sender } = await pair()
    await relay.close()
    expect(await sender.ended).toMatchObject({ code: 'shutting_down' })
  })

  test('answers a path that no relay has as a relay does', async () => {
    const relay = new TestRelay()
    onTestFinished(() => relay.close())
    const answer = await relay.device().environment.fetch?.(`${relay.url}/v1/elsewhere`, { method: 'GET' })
    expect(await answer?.json()).toMatchObject({ status: 404, code: 'not_found' })
  })
})

describe('a clock that the test turns', () => {
  test('ends a session when it is over, and not before', async () => {
    const clock = new TestClock()
    const { sender } = await pair(clock)
    let ended: unknown = 'not yet'
    void sender.ended.then((error) => {
      ended = error
    })
    await clock.advance(899_000)
    expect(ended).toBe('not yet')
    await clock.advance(2_000)
    expect(ended).toMatchObject({ code: 'expired' })
  })
})

describe('a device', () => {
  test('whose sockets are cut goes on', async () => {
    const devices = await pair()
    devices.phone.cut()
    devices.laptop.cut()
    expect(PAYLOAD.equals(await handOver(devices, PAYLOAD))).toBe(true)
  })

  test('through which no WebSocket passes goes on over HTTP', async () => {
    let fellBack = 0
    const relay = new TestRelay()
    onTestFinished(() => relay.close())
    const laptop = relay.device()
    laptop.webSocketsPass = false
    const onFallback = () => fellBack++
    const sender = await Sender.open({ relay: relay.url, environment: laptop.environment, onFallback })
    const receiver = await Receiver.join({ link: sender.link, environment: relay.device().environment })
    const request = await first(sender.requests())
    const [ofSender, ofReceiver] = await Promise.all([request.approve(), receiver.approved])
    expect(PAYLOAD.equals(await handOver({ sender: ofSender, receiver: ofReceiver }, PAYLOAD))).toBe(true)
    expect(fellBack).toBe(1)
  })

  test('without a network does not reach the relay', async () => {
    const clock = new TestClock()
    const relay = new TestRelay({ clock })
    const laptop = relay.device()
    laptop.network = 'fails'
    const opening = Sender.open({ relay: relay.url, environment: laptop.environment }).catch((error) => error)
    await clock.advance(10_000)
    expect(await opening).toMatchObject({ code: 'relay_unreachable' })
  })

  test('that nobody answers gives up when time has passed', async () => {
    const clock = new TestClock()
    const relay = new TestRelay({ clock })
    const laptop = relay.device()
    laptop.network = 'silent'
    const opening = Sender.open({ relay: relay.url, environment: laptop.environment }).catch((error) => error)
    await clock.advance(120_000)
    expect(await opening).toMatchObject({ code: 'relay_unreachable' })
  })

  test('notices a network that has fallen silent, and goes on when it works again', async () => {
    const clock = new TestClock()
    const told: string[] = []
    const devices = await pair(clock, { onStatus: (status) => void told.push(status) })
    devices.phone.network = 'silent'
    await clock.advance(90_000)
    expect(told).toEqual(['connected', 'reconnecting'])
    devices.phone.network = 'works'
    await clock.advance(20_000)
    expect(told).toEqual(['connected', 'reconnecting', 'connected'])
  })

  test('is refused what the test says', async () => {
    const relay = new TestRelay()
    onTestFinished(() => relay.close())
    const laptop = relay.device()
    laptop.refuse('access_denied')
    const opening = Sender.open({ relay: relay.url, environment: laptop.environment })
    await expect(opening).rejects.toMatchObject({ code: 'access_denied' })
  })

  test.each(['a WebSocket', 'HTTP'])('finds a frame that was changed on its way, over %s', async (way) => {
    const clock = new TestClock()
    const devices = await pair(clock)
    if (way === 'HTTP') {
      devices.phone.webSocketsPass = false
      devices.phone.cut()
      await clock.advance(60_000)
    }
    devices.phone.corrupt()
    void devices.sender.post(new Uint8Array([1])).catch(() => {})
    await clock.advance(10_000)
    expect(await devices.receiver.ended).toMatchObject({ code: 'corrupt' })
  })
})
