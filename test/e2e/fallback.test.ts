import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bytesSource, type ConnectionStatus, Receiver, Sender } from '../../src/client/index.ts'
import { describeNginx, Nginx, type Rules } from '../support/nginx.ts'
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
  sha256,
  wrongCode,
} from './people.ts'
import { startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

/** Where WebSockets do not pass for one side or the other, the same transfer goes on over HTTP. */

const PAYLOAD = bytesOf(1_000_001)
const DIGEST = sha256(PAYLOAD)

const PASSING_UPGRADES = `
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;`

let relay: TestRelay
beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.end())

/** A device, and what its app was told of its connection. */
class Device {
  readonly world: DeviceWorld
  readonly told: (ConnectionStatus | 'fallback')[] = []
  readonly options = {
    onStatus: (status: ConnectionStatus) => void this.told.push(status),
    onFallback: () => void this.told.push('fallback'),
  }

  private constructor(world: DeviceWorld) {
    this.world = world
  }

  static async create(webSocketsPass = true): Promise<Device> {
    const world = await DeviceWorld.create()
    world.webSocketsPass = webSocketsPass
    return new Device(world)
  }

  get fallbacks(): number {
    return this.told.filter((each) => each === 'fallback').length
  }
}

/** Opens, joins and approves. `relays` may differ in what lies between them and the devices. */
async function pairOf(sending: Device, receiving: Device, relays = { sender: relay.url, receiver: relay.url }) {
  const device = await openSender(relays.sender, { world: sending.world, ...sending.options })
  const { receiver } = await admit(relays.receiver, device, { world: receiving.world, ...receiving.options })
  return { device, sender: device.sender, receiver }
}

/** Sends and says goodbye. `onRunning` is called when a part has arrived. */
async function expectDelivery(sender: Sender, receivers: readonly Receiver[], onRunning = () => {}): Promise<void> {
  const collecting = receivers.map((receiver) => collect(receiver, { onProgress: onRunning }))
  const receipts = await sender.send([bytesSource(PAYLOAD, 'a')])
  expect(receipts.map(outcomeOf)).toEqual(receivers.map(() => PAYLOAD.length))
  await sender.close()
  for (const [[item]] of await Promise.all(collecting)) expect(item.sha256).toBe(DIGEST)
}

function runningDelivery(sender: Sender, receivers: readonly Receiver[]) {
  let onRunning = () => {}
  const running = new Promise<void>((resolve) => {
    onRunning = resolve
  })
  return { running, done: expectDelivery(sender, receivers, onRunning) }
}

const MIXES: [string, boolean, boolean][] = [
  ['a sender without, a receiver with WebSockets', false, true],
  ['a sender with, a receiver without WebSockets', true, false],
  ['neither with WebSockets', false, false],
]

describe.each(MIXES)('%s', (_, sends, receives) => {
  const devices = async () => [await Device.create(sends), await Device.create(receives)]

  test('the transfer arrives, and each app is told once whether it goes over HTTP', async () => {
    const [sending, receiving] = await devices()
    const { sender, receiver } = await pairOf(sending, receiving)
    await expectDelivery(sender, [receiver])
    for (const [device, passes] of [
      [sending, sends],
      [receiving, receives],
    ] as const) {
      if (!passes) expect(device.told).toEqual(['reconnecting', 'fallback', 'connected'])
      // Of several nodes, a socket may be told to attach again when the other end is on HTTP.
      else if (isAlone) expect(device.told).toEqual(['connected'])
      else expect(device.fallbacks).toBe(0)
    }
  })

  test('a WebSocket that is cut in the middle, and from then on refused, is resumed over HTTP', async () => {
    const [sending, receiving] = [await Device.create(), await Device.create()]
    const { sender, receiver } = await pairOf(sending, receiving)
    const delivery = runningDelivery(sender, [receiver])
    await delivery.running
    for (const [device, passes] of [
      [sending, sends],
      [receiving, receives],
    ] as const) {
      device.world.webSocketsPass = passes
      device.world.socket.cut()
    }
    await delivery.done
    expect([sending.fallbacks, receiving.fallbacks]).toEqual([sends ? 0 : 1, receives ? 0 : 1])
  })

  test('an offer that is declined, a denial and a wrong code end as they do on WebSockets', async () => {
    const [sending, receiving] = await devices()
    const declined = await pairOf(sending, receiving)
    const declining = (async () => {
      for await (const offer of declined.receiver.offers()) offer.decline()
    })()
    expect((await declined.sender.send([bytesSource(PAYLOAD, 'a')])).map(outcomeOf)).toEqual(['declined'])
    await declined.sender.close()
    await declining

    const [denying, denied] = await devices()
    const device = await openSender(relay.url, { world: denying.world })
    const wrong = await join(relay.url, wrongCode(device.sender.code).text, { world: (await devices())[1].world })
    expect(await errorOf(wrong.receiver.verified)).toBe('wrong_code')
    await until('the sender counts it', () => device.sender.failedAttempts.wrongCode === 1)
    const { receiver } = await join(relay.url, device.sender.code, { world: denied.world })
    const end = errorOf(collect(receiver))
    await (await nextRequest(device)).deny()
    expect(await end).toBe('denied')
  })
})

test.each([true, false])('one sender (WebSockets: %s) and three receivers, of both kinds', async (passes) => {
  const sending = await Device.create(passes)
  const device = await openSender(relay.url, { receivers: 3, world: sending.world, ...sending.options })
  const receivers: Receiver[] = []
  for (const each of [true, false, false]) {
    const { world } = await Device.create(each)
    receivers.push((await admit(relay.url, device, { world })).receiver)
  }
  await expectDelivery(device.sender, receivers)
  expect(sending.fallbacks).toBe(passes ? 0 : 1)
})

describeNginx('behind an nginx', () => {
  const refusals: [string, Rules][] = [
    ['answers 403 to every upgrade', { location: 'if ($http_upgrade) { return 403; }' }],
    ['answers 404 to every upgrade', { location: 'if ($http_upgrade) { return 404; }' }],
    ['answers 426 to every upgrade', { location: 'if ($http_upgrade) { return 426; }' }],
    ['closes the connection of every upgrade', { location: 'if ($http_upgrade) { return 444; }' }],
    ['does not pass upgrades on, as it is by default', {}],
    [
      'passes upgrades on and kills sockets that are silent for 50 ms',
      { sockets: `${PASSING_UPGRADES} proxy_read_timeout 50ms;` },
    ],
  ]

  describe.each(refusals)('that %s', (_, rules) => {
    let nginx: Nginx
    beforeAll(async () => {
      nginx = await Nginx.start(relay.port, rules)
    })
    afterAll(() => nginx?.stop())

    // Try the second refusal with the first setting alone: all refusals are alike to a device.
    test.each(rules === refusals[0][1] ? ['both devices', 'the sender', 'the receiver'] : ['both devices'])(
      '%s: the same transfer goes on over HTTP',
      async (who) => {
        const [sending, receiving] = [await Device.create(), await Device.create()]
        const [sends, receives] = [who !== 'the receiver', who !== 'the sender']
        const relays = { sender: sends ? nginx.url : relay.url, receiver: receives ? nginx.url : relay.url }
        const device = await openSender(relays.sender, { world: sending.world, ...sending.options })
        if (sends) await until('the sender has fallen back', () => sending.told.includes('fallback'))
        const joined = await join(relays.receiver, device.sender.code, { world: receiving.world, ...receiving.options })
        const request = await nextRequest(device)
        if (receives) await until('the receiver has fallen back', () => receiving.told.includes('fallback'))
        await request.approve()
        await expectDelivery(device.sender, [joined.receiver])
        expect([sending.fallbacks, receiving.fallbacks]).toEqual([sends ? 1 : 0, receives ? 1 : 0])
      },
    )
  })

  test('that is gone in the middle and comes back, the transfer resumes', async () => {
    const nginx = await Nginx.start(relay.port, {})
    try {
      const [sending, receiving] = [await Device.create(), await Device.create()]
      for (const { world } of [sending, receiving]) world.jitter = 0.02
      const { sender, receiver } = await pairOf(sending, receiving, { sender: nginx.url, receiver: nginx.url })
      const delivery = runningDelivery(sender, [receiver])
      await delivery.running
      await nginx.interrupt()
      for (const { told } of [sending, receiving]) await until('it is noticed', () => told.at(-1) === 'reconnecting')
      await nginx.resume()
      await delivery.done
      expect([sending.fallbacks, receiving.fallbacks]).toEqual([1, 1])
    } finally {
      await nginx.stop()
    }
  })

  test('that passes everything on, nothing falls back', async () => {
    const nginx = await Nginx.start(relay.port, { location: PASSING_UPGRADES })
    try {
      const [sending, receiving] = [await Device.create(), await Device.create()]
      const { sender, receiver } = await pairOf(sending, receiving, { sender: nginx.url, receiver: nginx.url })
      await expectDelivery(sender, [receiver])
      for (const { told } of [sending, receiving]) expect(told).toEqual(['connected'])
    } finally {
      await nginx.stop()
    }
  })
})

test('an app gives the SDK nothing for it: without any option it falls back as well', async () => {
  const refusing = { environment: { openWebSocket: () => refused() } }
  const sender = await Sender.open({ relay: relay.url, ...refusing })
  const receiver = await Receiver.join({ relay: relay.url, code: sender.code, ...refusing })
  for await (const request of sender.requests()) {
    await request.approve()
    break
  }
  await expectDelivery(sender, [receiver])
})

/** Behaves as a runtime without WebSockets. */
function refused(): never {
  throw new ReferenceError('WebSocket is not defined')
}
