import { PairingError } from '../../../src/client/errors.ts'
import { Channel } from '../../../src/client/link/channel.ts'
import { PairedDevice } from '../../../src/client/paired-device.ts'
import type { Takes } from '../../../src/client/transfer/conversation.ts'
import type { IncomingOffer } from '../../../src/client/transfer/incoming-offer.ts'
import type { AnyHead } from '../../../src/client/transfer/kinds.ts'
import { type MessageSink, readMessages } from '../../../src/client/transfer/message-reader.ts'
import { MessageWriter } from '../../../src/client/transfer/message-writer.ts'
import { decodeFrame, FRAME_ACK } from '../../../src/protocol/frame.ts'
import { settled } from '../fake-time.ts'
import { FakeWorld, linkedChannels, WIDE_WINDOW } from '../support.ts'

export const MAX_FRAME_BYTES = 262_272

export interface Pair {
  /** The one who approved, and sees the other device. */
  readonly sender: PairedDevice
  readonly receiver: PairedDevice
  readonly world: FakeWorld
  /** Sides that left the session, in order. */
  readonly left: string[]
  /** Nothing arrives any more, and nobody knows. */
  fallSilent(): void
  /** Nothing arrives any more, and both sides learn it. */
  cut(): Promise<void>
  /** Lets time pass, a little at a time, until this settles. */
  until<T>(work: Promise<T>): Promise<T>
}

/** Two paired devices on one channel, with so much window each way. Frames arrive in order, a turn later. */
export function pair({
  window = WIDE_WINDOW,
  takes = { offers: true, posts: true },
  senderTakes = takes,
}: {
  window?: number
  takes?: Takes
  senderTakes?: Takes
} = {}): Pair {
  const world = new FakeWorld()
  const near = new Channel(1, window, world.environment)
  const far = new Channel(1, window, world.environment)
  let isCut = false
  for (const end of [near, far]) {
    end.verified()
    end.approved()
  }
  const carry = (to: Channel) => (bytes: Uint8Array, onLeaving?: () => void) => {
    onLeaving?.()
    const frame = decodeFrame(bytes.slice())
    setImmediate(() => {
      if (isCut) return
      if (frame.type === FRAME_ACK) to.takeAck(frame.seq)
      else to.takeData(frame)
    })
  }
  const row = { channel: 1, received: 0, acked: 0, window }
  near.attach(row, carry(far))
  far.attach(row, carry(near))
  const key = (byte: number) => new Uint8Array(64).fill(byte)
  const left: string[] = []
  const device = (side: 'sender' | 'receiver', channel: Channel) =>
    new PairedDevice({
      channel,
      peer: {
        sendKey: key(side === 'sender' ? 1 : 2),
        receiveKey: key(side === 'sender' ? 2 : 1),
        matchNumber: '482913',
        fingerprint: '',
        resumeSecret: new Uint8Array(32).fill(5),
      },
      maxFrameBytes: MAX_FRAME_BYTES,
      environment: world.environment,
      speaksFirst: side === 'sender',
      takes: side === 'sender' ? senderTakes : takes,
      name: side,
      isPresent: () => true,
      leave: async () => void left.push(side),
    })
  const sender = device('sender', near)
  const receiver = device('receiver', far)
  return {
    sender,
    receiver,
    world,
    left,
    fallSilent: () => {
      isCut = true
    },
    cut: async () => {
      isCut = true
      for (const channel of [near, far]) channel.fail(new PairingError('session_lost'))
      await settled()
    },
    until: untilIn(world),
  }
}

/**
 * A device and whoever has the keys of its pairing, who can say anything. `heard` is what the device has said, and
 * `contentBytes` how much of it is content. The device is the receiver unless it `speaksFirst`.
 */
export function rawPair({
  speaksFirst = false,
  takes = { offers: true, posts: true },
}: {
  speaksFirst?: boolean
  takes?: Takes
} = {}) {
  const world = new FakeWorld()
  const { near, far } = linkedChannels(world.environment)
  const key = (byte: number) => new Uint8Array(64).fill(byte)
  const device = new PairedDevice({
    channel: far,
    peer: {
      sendKey: key(2),
      receiveKey: key(1),
      resumeSecret: new Uint8Array(32),
      matchNumber: '482913',
      fingerprint: '',
    },
    maxFrameBytes: MAX_FRAME_BYTES,
    environment: world.environment,
    speaksFirst,
    takes,
    name: undefined,
    isPresent: () => true,
    leave: async () => {},
  })
  const writer = new MessageWriter(near, key(1), MAX_FRAME_BYTES)
  const heard: AnyHead[] = []
  let contentBytes = 0
  const hear = (head: AnyHead): MessageSink => {
    heard.push(head)
    const push = (piece: Uint8Array) => {
      if (head.kind === 'content') contentBytes += piece.length
    }
    return { push, end: () => {} }
  }
  readMessages(near, key(2), hear).catch(() => {})
  const attacker = async ([head, body = []]: readonly [head: object, body?: Uint8Array | readonly object[]]) => {
    const json = Buffer.from(JSON.stringify(head))
    const length = Buffer.alloc(4)
    length.writeUInt32BE(json.length)
    const lines = body instanceof Uint8Array ? [body] : body.map((line) => Buffer.from(`${JSON.stringify(line)}\n`))
    await writer.write(Buffer.concat([length, json, ...lines]))
    for (let turns = 0; turns < 5; turns++) await settled()
  }
  return { device, attacker, heard, contentBytes: () => contentBytes, world, until: untilIn(world) }
}

/** Lets the time of a world pass, a little at a time, until work settles. */
function untilIn(world: FakeWorld) {
  return async <T>(work: Promise<T>): Promise<T> => {
    let isOver = false
    const over = () => {
      isOver = true
    }
    work.then(over, over)
    for (let turns = 0; !isOver; turns++) {
      await settled()
      if (turns % 4 === 3) await world.time.advance(10)
    }
    return work
  }
}

export async function nextOffer(device: PairedDevice): Promise<IncomingOffer> {
  const { value } = await device.offers().next()
  if (!value) throw new Error('no offer came')
  return value
}
