import {
  bytesSource,
  PairingError,
  type PairingRequest,
  Receiver,
  Sender,
  type SenderOptions,
} from '../../../src/client/index.ts'
import { parsePairingCode } from '../../../src/crypto/pairing-code.ts'
import { Seed } from './seed.ts'
import { type Attack, strangers } from './strangers.ts'
import { RELAY_URL, type World } from './worlds.ts'

/** Two honest people who pair while strangers do what they can. */

/** How long an honest receiver may need, from its first try. */
export const WITHIN_MS = 30_000
const SECOND_MS = 1_000
/** How long a person needs to enter a code again. */
const AGAIN_MS = 4_000

export interface Siege {
  /** From the first try to the approval, in milliseconds; undefined when it came to none. */
  readonly pairedAfterMs: number | undefined
  /** The receiver's person saw this before it went through. */
  readonly refusals: readonly string[]
  /** The most that the sender's person saw waiting without having proved anything. */
  readonly unproven: number
  readonly failedAttempts: number
  /** The error that ended the sender's requests before the approval, if any. */
  readonly ended: string | undefined
  readonly delivered: boolean
}

/** The sender opens, the strangers begin, and after so many seconds the receiver tries until it is in. */
export async function siege(world: World, attack: Attack, addresses: number, seconds: number): Promise<Siege> {
  const name = `${attack.name} ${addresses} ${seconds}`
  const attackers = await strangers(world, addresses, name)
  let unproven = 0
  let failedAttempts = 0
  const sender = await opened(world, {
    relay: RELAY_URL,
    environment: await world.device('192.0.2.1', new Seed('sender', name), 'first'),
    onWaiting: (waiting) => {
      unproven = Math.max(unproven, waiting.unproven)
    },
    onFailedAttempt: () => {
      failedAttempts++
    },
  })
  const { locator } = parsePairingCode(sender.code)
  let approvedAt: number | undefined
  let ended: string | undefined
  let over = false
  const requests: PairingRequest[] = []
  const compare = () => {
    const request = requests.find(({ matchNumber }) => matchNumber === receiving.number)
    if (!request || approvedAt !== undefined) return
    approvedAt = world.time.now()
    approve(sender, request).catch((error) => {
      ended = nameOf(error)
    })
  }
  const receiving = receivingDevice(world, sender.code, new Seed('receiver', name), compare)
  const listening = (async () => {
    try {
      for await (const request of sender.requests()) {
        requests.push(request)
        compare()
      }
      if (approvedAt === undefined && !over) ended ??= 'no more requests'
    } catch (error) {
      if (approvedAt === undefined && !over) ended ??= nameOf(error)
    }
  })()
  const second = async () => {
    for (const attacker of attackers) void attack.act(attacker, locator)
    await world.pass(SECOND_MS)
  }
  for (let passed = 0; passed < seconds; passed++) await second()
  const triedAt = world.time.now()
  void receiving.begin()
  const deadline = triedAt + WITHIN_MS
  while (world.time.now() < deadline && approvedAt === undefined && ended === undefined) await second()
  let delivered = false
  if (approvedAt !== undefined) {
    const sending = sender.send([bytesSource(new Uint8Array(600_000), 'file')]).then((receipts) => {
      delivered = receipts.length === 1 && receipts.every((each) => each.delivered)
    })
    for (let passed = 0; passed < 10 && !delivered; passed++) await second()
    sending.catch(() => {})
  }
  over = true
  receiving.over = true
  const away = Promise.all([sender.cancel(), receiving.receiver?.close(), listening])
  await world.pass(SECOND_MS)
  await away
  return {
    pairedAfterMs: approvedAt === undefined ? undefined : approvedAt - triedAt,
    refusals: receiving.refusals,
    unproven,
    failedAttempts,
    ended,
    delivered,
  }
}

export async function opened(world: World, options: SenderOptions): Promise<Sender> {
  const opening = Sender.open(options)
  await world.pass(SECOND_MS)
  return opening
}

/** As the person would: the number is typed where it has to be. */
async function approve(sender: Sender, request: PairingRequest): Promise<void> {
  try {
    await request.approve()
  } catch (error) {
    if (!(error instanceof PairingError) || error.code !== 'typing_required') throw error
    await sender.approveNumber(request.matchNumber)
  }
}

/** A person who enters a code, and again when that did not work. `shown` is called when the device shows its number. */
function receivingDevice(world: World, code: string, seed: Seed, shown: () => void) {
  const device = {
    number: undefined as string | undefined,
    refusals: [] as string[],
    over: false,
    receiver: undefined as Receiver | undefined,
    async begin(): Promise<void> {
      try {
        const environment = await world.device('198.51.100.7', seed, 'last')
        device.receiver = await Receiver.join({ relay: RELAY_URL, code, environment })
        device.number = await device.receiver.verified
        shown()
        for await (const offer of device.receiver.offers()) {
          for await (const { stream } of offer.accept()) for await (const _ of stream);
        }
      } catch (error) {
        device.refusals.push(nameOf(error))
        if (!device.over && device.number === undefined) world.time.setTimeout(() => void device.begin(), AGAIN_MS)
      }
    },
  }
  return device
}

function nameOf(error: unknown): string {
  return error instanceof PairingError ? error.code : String(error)
}
