import { createHash } from 'node:crypto'
import {
  type AcceptOptions,
  bytesSource,
  type Entry,
  type Offer,
  PairingError,
  type PairingErrorCode,
  type PairingRequest,
  type Receipt,
  Receiver,
  type ReceiverOptions,
  Sender,
  type SenderOptions,
} from '../../src/client/index.ts'
import { checkSymbol, type PairingCode, parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { urlForReceivers } from '../support/server.ts'
import { leaving } from './setting.ts'
import { DeviceWorld } from './world.ts'

/** Actions of the people at the two devices, and what they get. */

export interface SendingDevice {
  readonly sender: Sender
  readonly world: DeviceWorld
  readonly requests: AsyncGenerator<PairingRequest, void>
}

export interface ReceivingDevice {
  readonly receiver: Receiver
  readonly world: DeviceWorld
}

type Options<T> = Omit<Partial<T>, 'environment'> & { readonly world?: DeviceWorld }

export async function openSender(relay: string, options: Options<SenderOptions> = {}): Promise<SendingDevice> {
  const { world = await DeviceWorld.create(), ...rest } = options
  const sender = await Sender.open({ relay, ...rest, environment: world.environment })
  leaving.push(() => sender.cancel())
  return { sender, world, requests: sender.requests() }
}

export async function join(
  relay: string,
  code: string,
  options: Options<ReceiverOptions> = {},
): Promise<ReceivingDevice> {
  const { world = await DeviceWorld.create(), ...rest } = options
  const receiver = await Receiver.join({ relay: urlForReceivers(relay), code, ...rest, environment: world.environment })
  leaving.push(() => receiver.close())
  return { receiver, world }
}

/** The next verified receiver. Fails when there will be none. */
export async function nextRequest({ requests }: SendingDevice): Promise<PairingRequest> {
  const { value, done } = await requests.next()
  if (done || !value) throw new Error('no more receivers can come')
  return value
}

/** A sender, and a receiver that is verified. Nothing is decided. */
export async function meet(
  relay: string,
  options: { readonly sender?: Options<SenderOptions>; readonly receiver?: Options<ReceiverOptions> } = {},
) {
  const device = await openSender(relay, options.sender)
  const { receiver, world: receiverWorld } = await join(relay, device.sender.code, options.receiver)
  const request = await nextRequest(device)
  await receiver.verified
  return { ...device, device, receiver, receiverWorld, request }
}

/** Sends so many bytes, says goodbye, and gives the outcomes when `collecting` is over too. */
export async function sendAll(sender: Sender, bytes: number, ...collecting: Promise<unknown>[]) {
  const receipts = await sender.send([bytesSource(bytesOf(bytes), 'a')])
  await sender.close()
  await Promise.all(collecting)
  return receipts.map(outcomeOf)
}

/** Lets a receiver join and approves it by the number that it shows. */
export async function admit(
  relay: string,
  device: SendingDevice,
  options: Options<ReceiverOptions> = {},
): Promise<ReceivingDevice> {
  const joined = await join(relay, device.sender.code, options)
  const request = await nextRequest(device)
  const shown = await joined.receiver.verified
  if (request.matchNumber !== shown) throw new Error('the two devices show different numbers')
  await device.sender.approveNumber(shown)
  return joined
}

/** A sender and so many receivers, all approved. */
export async function pair(
  relay: string,
  options: {
    readonly receivers?: number
    readonly sender?: Options<SenderOptions>
    readonly receiver?: Options<ReceiverOptions>
  } = {},
) {
  const { receivers: count = 1 } = options
  const device = await openSender(relay, { receivers: count, ...options.sender })
  const receivers: ReceivingDevice[] = []
  for (let i = 0; i < count; i++) receivers.push(await admit(relay, device, options.receiver))
  const [first] = receivers
  return { ...device, device, receivers, receiver: first.receiver, receiverWorld: first.world }
}

export interface Received extends Entry {
  readonly sha256: string
  readonly bytes: number
}

/** Accepts everything and keeps what it was. Rejects with what ended it early. */
export async function collect(receiver: Receiver, options: AcceptOptions = {}): Promise<Received[][]> {
  const transfers: Received[][] = []
  for await (const offer of receiver.offers()) transfers.push(await take(offer, options))
  return transfers
}

/** The first offer of a receiver, and those that follow. */
export async function firstOffer(receiver: Receiver): Promise<{ offer: Offer; offers: AsyncGenerator<Offer, void> }> {
  const offers = receiver.offers()
  const { value: offer } = await offers.next()
  if (!offer) throw new Error('there was no offer')
  return { offer, offers }
}

export async function take(offer: Offer, options: AcceptOptions = {}): Promise<Received[]> {
  const items: Received[] = []
  for await (const { stream, index, offset, ...info } of offer.accept(options)) {
    const hash = createHash('sha256')
    let bytes = 0
    for await (const piece of stream) {
      hash.update(piece)
      bytes += piece.length
    }
    items.push({ ...info, sha256: hash.digest('hex'), bytes })
  }
  return items
}

export function sha256(...pieces: Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

/** A code that differs from this one in its second half alone. */
export function wrongCode(code: string): PairingCode {
  const { locator, secret } = parsePairingCode(code)
  const other = secret === '00000' ? '11111' : '00000'
  return parsePairingCode(`${locator}-${other}${checkSymbol(locator + other)}`)
}

/** Bytes that look random and are the same every time. */
export function bytesOf(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = seed | 0 || 1
  for (let i = 0; i < length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state
  }
  return bytes
}

/** Numbers from 0 up to a limit that look random and are the same every time. */
export function positions(count: number, limit: number, seed: number): number[] {
  const bytes = Buffer.from(bytesOf(count * 4, seed))
  return Array.from({ length: count }, (_, i) => bytes.readUInt32LE(i * 4) % limit)
}

/** The code of the PairingError that a promise rejects with; undefined when it does not. */
export async function errorOf(promise: Promise<unknown>): Promise<PairingErrorCode | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    if (error instanceof PairingError) return error.code
    throw error
  }
}

/** A receipt in few words: the bytes delivered, or why not. */
export function outcomeOf(receipt: Receipt): number | PairingErrorCode {
  return receipt.delivered ? receipt.bytes : receipt.error.code
}
