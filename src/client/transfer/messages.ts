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

  /**
   * Sends one message from its pieces, never holding more than a frame of it, and resolves with its length. `onAcked` is
   * called with the plaintext bytes that the peer has processed. Whatever the pieces throw is thrown on: the message then
   * stays without an end, and nothing but a `cancel` can follow.
   */
  async write(
    pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    onAcked?: (bytes: number) => void,
  ): Promise<number> {
    if (this.#wiped) throw new PairingError('aborted')
    const key = messageKey(this.#trafficSecret, this.#nextIndex++)
    const sealer = new StreamSealer(key)
    key.fill(0)
    const buffer = new Uint8Array(this.#frameBytes)
    let filled = 0
    let sent = 0
    const send = async (last: boolean) => {
      const frame = sealer.sealFrame(buffer.subarray(0, filled), last, FRAME_HEADER_BYTES)
      sent += filled
      filled = 0
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

  /** The index of the message that is being read. */
  get index(): number {
    return this.#nextIndex - 1
  }

  /** The next message, as soon as its first frame is there. The one before must have been read to its end. */
  async next(): Promise<MessageBody> {
    if (this.#current && !this.#current.finished) throw new PairingError('incomplete')
    const index = this.#nextIndex++
    this.#current = new MessageBody(this.#channel, index, (ahead) => this.#opener(index + ahead))
    await this.#current.peek()
    return this.#current
  }

  wipe(): void {
    this.#trafficSecret.fill(0)
    this.#current?.wipe()
  }

  #opener(index: number): StreamOpener {
    const key = messageKey(this.#trafficSecret, index)
    const opener = new StreamOpener(key)
    key.fill(0)
    return opener
  }
}

/** A message as it comes in, frame by frame. A frame is acked when the one after it is asked for: it was dealt with. */
export class MessageBody {
  readonly index: number
  readonly #channel: Channel
  readonly #openerOf: (ahead: number) => StreamOpener
  readonly #opener: StreamOpener
  readonly #joiner = new FrameJoiner()
  #peeked: Uint8Array | undefined

  /** `openerOf` gives the opener of this message, or of one that comes so many behind it. */
  constructor(channel: Channel, index: number, openerOf: (ahead: number) => StreamOpener) {
    this.index = index
    this.#channel = channel
    this.#openerOf = openerOf
    this.#opener = openerOf(0)
  }

  /** Reports whether the last chunk has come and been verified. */
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
    let frame: Uint8Array | undefined
    try {
      for (;;) {
        frame = this.#joiner.take(await this.#channel.receive())
        if (frame) return this.#opener.openFrame(frame).plaintext
        // A part is held here until the rest has come: the window must not wait for it.
        this.#channel.processed()
      }
    } catch (error) {
      if (error instanceof StreamError)
        throw (frame && this.#cancelIn(frame)) ?? new PairingError('corrupt', { cause: error })
      throw error
    }
  }

  /** The error of a frame that is not of this message, but a `cancel` of it. */
  #cancelIn(frame: Uint8Array): PairingError | undefined {
    try {
      const { plaintext, last } = this.#openerOf(1).openFrame(frame)
      return last ? cancelOf(jsonOf(plaintext), this.index) : undefined
    } catch {
      return undefined
    }
  }
}

/** The error of a control message that cancels this transfer, or undefined for any other. */
export function cancelOf(control: unknown, index: number): PairingError | undefined {
  const { type, message, reason } = Object(control)
  if (type !== 'cancel' || message !== index) return undefined
  if (reason === 'source_changed') return new PairingError(reason)
  return new PairingError(reason === 'failed' ? 'sender_failed' : 'cancelled')
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
