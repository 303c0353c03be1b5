import { randomBytes } from 'node:crypto'
import { bytesSource } from '../../../src/client/index.ts'
import { PUBLIC_KEY_MAX_BYTES } from '../../../src/protocol/limits.ts'
import type { FakeTime } from '../../client/fake-time.ts'
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
} from '../../e2e/people.ts'
import { DeviceWorld, until } from '../../e2e/world.ts'
import type { Side } from './pairing.ts'

/**
 * Lives of sessions. Each `yield` lets minutes pass; the result is the devices that
 * took part. A life that does not go as it should throws.
 */
export type Life = (relays: Relays, time: FakeTime) => AsyncGenerator<number, DeviceWorld[]>

type Relays = Readonly<Record<Side, string>>

const BYTES = 300_000
/** Twenty pieces, and more than may be under way. */
const SLOW_BYTES = 5_200_000
const HOUR_SECONDS = 3_600
const HOUR_MINUTES = 60

export const LIVES: Readonly<Record<string, Life>> = {
  async *'delivers after a minute'(relays, time) {
    const { device, joined } = await pairIn(relays, time)
    yield 1
    await deliver(device, joined)
    return [device.world, joined.world]
  },
  async *'delivers after forty idle minutes'(relays, time) {
    const { device, joined } = await pairIn(relays, time, HOUR_SECONDS)
    yield 40
    await deliver(device, joined)
    return [device.world, joined.world]
  },
  async *'waits for a device for twelve minutes'(relays, time) {
    const device = await openSender(relays.sender, { world: await DeviceWorld.create(time) })
    yield 12
    const joined = await admit(relays.receiver, device, { world: await DeviceWorld.create(time) })
    await deliver(device, joined)
    return [device.world, joined.world]
  },
  async *'waits for nobody until it expires'(relays, time) {
    const { requests, world } = await openSender(relays.sender, { world: await DeviceWorld.create(time) })
    const end = errorOf(requests.next())
    yield 16
    expectCode(await end, 'expired')
    return [world]
  },
  async *'loses both devices without a word'(relays, time) {
    const { device, joined } = await pairIn(relays, time)
    const ends = [errorOf(collect(joined.receiver)), device.sender.send([bytesSource(bytesOf(BYTES), 'a')])] as const
    for (const { world } of [device, joined]) {
      world.unplugged = true
      world.socket.cut()
    }
    yield 20
    expectCode(await ends[0], 'expired')
    expectCode(outcomeOf((await ends[1])[0]), 'expired')
    return [device.world, joined.world]
  },
  async *'loses a socket every minute, for ten'(relays, time) {
    const { device, joined } = await pairIn(relays, time)
    for (let i = 0; i < 10; i++) {
      const { world } = i % 2 === 0 ? device : joined
      await losesItsSocket(world, time)
      yield 1
    }
    await deliver(device, joined)
    return [device.world, joined.world]
  },
  async *'has a reader that takes a piece a minute'(relays, time) {
    const { device, joined } = await pairIn(relays, time, HOUR_SECONDS)
    const sending = device.sender.send([bytesSource(bytesOf(SLOW_BYTES), 'a')])
    const { offer, offers } = await firstOffer(joined.receiver)
    for await (const item of offer.accept()) for await (const _ of item.pieces()) yield 1
    if (outcomeOf((await sending)[0]) !== SLOW_BYTES) throw new Error('not delivered')
    const goodbye = offers.next()
    await device.sender.close()
    await goodbye
    return [device.world, joined.world]
  },
  async *'is registered by a device that is never heard of again'(relays) {
    await post(relays.sender, '/v1/sessions', { clientId: randomCode(), senderCode: randomCode() })
    yield 1
    return []
  },
  async *'is joined by a device that is never heard of again'(relays) {
    const [senderCode, receiverCode] = [randomCode(), randomCode()]
    await post(relays.sender, '/v1/sessions', { clientId: randomCode(), senderCode })
    yield 1
    const publicKey = randomBytes(PUBLIC_KEY_MAX_BYTES).toString('base64url')
    await post(relays.receiver, '/v1/receivers', { senderCode, receiverCode, publicKey })
    return []
  },
  async *'is left by the receiver'(relays, time) {
    const device = await openSender(relays.sender, { world: await DeviceWorld.create(time) })
    const { receiver, world } = await join(relays.receiver, device.sender.code, {
      world: await DeviceWorld.create(time),
    })
    await nextRequest(device)
    yield 2
    await receiver.close()
    yield 1
    await device.sender.cancel()
    return [device.world, world]
  },
  async *'denies a device'(relays, time) {
    const device = await openSender(relays.sender, { world: await DeviceWorld.create(time) })
    const { receiver, world } = await join(relays.receiver, device.sender.code, {
      world: await DeviceWorld.create(time),
    })
    const end = errorOf(collect(receiver))
    const request = await nextRequest(device)
    yield 1
    await request.deny()
    expectCode(await end, 'denied')
    await device.sender.close()
    return [device.world, world]
  },
}

/** The longest of them, and then its session's last minute. */
export const LIFE_MINUTES_MAX = HOUR_MINUTES + 2

const randomCode = () => randomBytes(9).toString('base64url')

async function post(relay: string, path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' }
  const { status } = await fetch(relay + path, { method: 'POST', headers, body: JSON.stringify(body) })
  if (status !== 201) throw new Error(`${path} was answered with ${status}`)
}

async function pairIn(relays: Relays, time: FakeTime, ttlSeconds?: number) {
  const device = await openSender(relays.sender, { world: await DeviceWorld.create(time), ttlSeconds })
  return { device, joined: await admit(relays.receiver, device, { world: await DeviceWorld.create(time) }) }
}

/** Cuts a device off, and waits until it is back: its clock must not run away from a network that is real. */
async function losesItsSocket(world: DeviceWorld, time: FakeTime): Promise<void> {
  let isBack = false
  world.hooks.incoming = (data) => {
    isBack = true
    return data
  }
  world.socket.cut()
  await until('it is back', () => {
    if (world.openSockets.size === 0) void time.advance(250)
    return isBack
  })
}

async function deliver(
  { sender }: Awaited<ReturnType<typeof pairIn>>['device'],
  { receiver }: Awaited<ReturnType<typeof pairIn>>['joined'],
): Promise<void> {
  const collecting = collect(receiver)
  const [receipt] = await sender.send([bytesSource(bytesOf(BYTES), 'a')])
  await sender.close()
  const [[item]] = await collecting
  if (outcomeOf(receipt) !== BYTES || item.bytes !== BYTES) throw new Error(`not delivered: ${outcomeOf(receipt)}`)
}

function expectCode(code: string | number | undefined, wanted: string): void {
  if (code !== wanted) throw new Error(`it ended with ${code} instead of ${wanted}`)
}
