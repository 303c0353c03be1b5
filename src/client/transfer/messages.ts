import { FrameJoiner } from '../../crypto/fragments.ts'
import {
  CHUNK_BYTES,
  CHUNKS_PER_FRAME,
  messageKey,
  StreamError,
  StreamOpener,
  StreamSealer,
  TAG_BYTES,
} from '../../crypto/stream.ts'
import { FRAME_HEADER_BYTES } from '../../protocol/limits.ts'
import { CodecError, parseJson } from '../../protocol/text.ts'
import { PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'

/** The plaintext units of one direction of a channel: message 0, 1, 2 …, each sealed under a key of its own. */

/** Seals messages into frames. One message at a time. */
export class MessageWriter {
  readonly #channel: Channel
  readonly #trafficSecret: Uint8Array
  readonly #frameBytes: number
  #nextIndex = 0
  #ended = true
  #wiped = false

  /** `maxFrameBytes` is the relay's: a frame takes as many chunks as fit, four at most. */
  constructor(channel: Channel, trafficSecret: Uint8Array, maxFrameBytes: number) {
    this.#channel = channel
    this.#trafficSecret = trafficSecret
    const room = Math.floor((maxFrameBytes - FRAME_HEADER_BYTES - 1) / (CHUNK_BYTES + TAG_BYTES))
    if (room < 1) throw new PairingError('relay_misbehaved')
    this.#frameBytes = Math.min(room, CHUNKS_PER_FRAME) * CHUNK_BYTES
  }

  /** The index of the message that the next write sends. */
  get nextIndex(): number {
    return this.#nextIndex
  }

  /** Sends a message of one JSON value. */
  async writeJson(value: unknown): Promise<void> {
    await this.write([new TextEncoder().encode(JSON.stringify(value))])
  }

  /** Whether the last message has its end: only then another can follow. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Sends one message from its pieces, never holding more than a frame of it, and resolves with its length. `onAcked` is
   * called with the plaintext bytes that the peer has processed. Whatever the pieces throw is thrown on: the message then
   * ends before the `announced` length, which its reader notices, or stays without an end where none was announced.
   */
  async write(
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    { onAcked, announced = 0 }: { onAcked?: (bytes: number) => void; announced?: number } = {},
  ): Promise<number> {
    if (this.#wiped) throw new PairingError('aborted')
    const key = messageKey(this.#trafficSecret, this.#nextIndex++)
    const sealer = new StreamSealer(key)
    key.fill(0)
    this.#ended = false
    const buffer = new Uint8Array(this.#frameBytes)
    let filled = 0
    let sent = 0
    const send = async (last: boolean) => {
      const frame = sealer.sealFrame(buffer.subarray(0, filled), last, FRAME_HEADER_BYTES)
      sent += filled
      filled = 0
      this.#ended = last
      const through = sent
      await this.#channel.send(frame, onAcked && (() => onAcked(through)))
    }
    try {
      for await (const piece of pieces) {
        for (let offset = 0; offset < piece.length; ) {
          // A full buffer goes out only when there is more: which chunk is the last must be known when it is sealed.
          if (filled === buffer.length) await send(false)
          const take = Math.min(buffer.length - filled, piece.length - offset)
          buffer.set(piece.subarray(offset, offset + take), filled)
          filled += take
          offset += take
        }
      }
      await send(true)
      return sent
    } catch (error) {
      // A byte short at least, or its reader would take it for whole.
      filled = Math.min(filled, announced - 1 - sent)
      if (filled > 0) await send(true)
      throw error
    } finally {
      sealer.wipe()
      buffer.fill(0)
    }
  }

  wipe(): void {
    this.#wiped = true
    this.#trafficSecret.fill(0)
  }
}

/** Opens the messages that come in, in order. Throws PairingError `corrupt` for anything the peer cannot have sent. */
export class MessageReader {
  readonly #channel: Channel
  readonly #trafficSecret: Uint8Array
  #nextIndex = 0
  #current: MessageBody | undefined

  constructor(channel: Channel, trafficSecret: Uint8Array) {
    this.#channel = channel
    this.#trafficSecret = trafficSecret
  }

  /** The next message, as soon as its first frame is there. The one before must have been read to its end. */
  async next(): Promise<MessageBody> {
    if (this.#current && !this.#current.finished) throw new PairingError('incomplete')
    const index = this.#nextIndex++
    const key = messageKey(this.#trafficSecret, index)
    this.#current = new MessageBody(this.#channel, key, index)
    key.fill(0)
    await this.#current.peek()
    return this.#current
  }

  wipe(): void {
    this.#trafficSecret.fill(0)
    this.#current?.wipe()
  }
}

/** One message as it comes in, frame by frame. A frame is acked when the one after it is asked for: it was dealt with. */
export class MessageBody {
  readonly index: number
  readonly #channel: Channel
  readonly #opener: StreamOpener
  readonly #joiner = new FrameJoiner()
  #peeked: Uint8Array | undefined

  constructor(channel: Channel, key: Uint8Array, index: number) {
    this.index = index
    this.#channel = channel
    this.#opener = new StreamOpener(key)
  }

  /** Whether the last chunk has come and been verified. */
  get finished(): boolean {
    return this.#opener.finished && this.#peeked === undefined
  }

  /** The plaintext that the next `read` gives, without taking it. */
  async peek(): Promise<Uint8Array> {
    this.#peeked ??= await this.#receive()
    return this.#peeked
  }

  /** The next frame's plaintext, or undefined after the last, when all of the message has been verified. */
  async read(): Promise<Uint8Array | undefined> {
    if (this.finished) {
      this.#channel.processed()
      return undefined
    }
    if (this.#peeked === undefined) this.#channel.processed()
    const plaintext = await this.peek()
    this.#peeked = undefined
    return plaintext
  }

  /** The whole message as JSON, for one that is a single frame. */
  async readJson(): Promise<unknown> {
    const plaintext = (await this.read()) ?? new Uint8Array()
    if ((await this.read()) !== undefined) throw new PairingError('corrupt')
    return jsonOf(plaintext)
  }

  wipe(): void {
    this.#opener.wipe()
  }

  async #receive(): Promise<Uint8Array> {
    try {
      for (;;) {
        const frame = this.#joiner.take(await this.#channel.receive())
        if (!frame) {
          // A part is held here until the rest has come: the window must not wait for it.
          this.#channel.processed()
          continue
        }
        const { plaintext, last } = this.#opener.openFrame(frame)
        if (last) this.#opener.wipe()
        return plaintext
      }
    } catch (error) {
      if (error instanceof StreamError) throw new PairingError('corrupt', { cause: error })
      throw error
    }
  }
}

/**
 * Reads a control message of a type that is not known here. It is skipped, unless it says that it is critical. Throws
 * PairingError `unsupported`, and `corrupt` for what is no control message.
 */
export function skipUnknown(message: unknown): void {
  const { type, critical } = Object(message)
  if (typeof type !== 'string') throw new PairingError('corrupt')
  if (critical === true) throw new PairingError('unsupported')
}

/** Parses JSON that the peer sealed. Throws PairingError `corrupt`. */
export function jsonOf(bytes: Uint8Array): unknown {
  try {
    return parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    if (error instanceof CodecError || error instanceof TypeError) throw new PairingError('corrupt', { cause: error })
    throw error
  }
}
