import { asyncAead } from '../../crypto/aead.ts'
import { FrameJoiner } from '../../crypto/fragments.ts'
import { messageKey, StreamError, StreamOpener } from '../../crypto/stream.ts'
import { PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import { type AnyHead, decodeHead } from './kinds.ts'
import { FAST_FROM_BYTES } from './message-writer.ts'

/** Takes the body of one message, piece by piece as frames come. Both calls return at once and throw PairingError `corrupt`. */
export interface MessageSink {
  push(piece: Uint8Array): void
  /** Every byte has come, and was sealed by the peer. */
  end(): void
}

/**
 * Reads every message of one direction until the channel ends, and rejects with what ended it: `corrupt` for anything that
 * the peer cannot have sent. `open` is called with the head of each message. The reader waits for nothing but frames: a
 * frame is processed, and acked, as soon as its sink has it. `trafficSecret` is zero afterwards.
 * `fastest` opens the large frames.
 */
export async function readMessages(
  channel: Channel,
  trafficSecret: Uint8Array,
  open: (head: AnyHead) => MessageSink,
  fastest = asyncAead(),
): Promise<never> {
  let opener: StreamOpener | undefined
  try {
    const joiner = new FrameJoiner()
    for (let index = 0; ; index++) {
      const key = messageKey(trafficSecret, index)
      opener = new StreamOpener(key)
      key.fill(0)
      for (let sink: MessageSink | undefined; ; ) {
        const frame = joiner.take(await channel.receive())
        if (frame) {
          const fast = frame.length < FAST_FROM_BYTES ? undefined : await fastest
          const { plaintext, last } = fast ? await opener.openFrameBy(fast, frame) : opener.openFrame(frame, true)
          if (sink) sink.push(plaintext)
          else sink = started(plaintext, open)
          if (last) sink.end()
          if (last) break
        }
        channel.processed()
      }
      channel.processed()
      opener.wipe()
    }
  } catch (error) {
    throw error instanceof StreamError ? new PairingError('corrupt', { cause: error }) : error
  } finally {
    opener?.wipe()
    trafficSecret.fill(0)
  }
}

function started(plaintext: Uint8Array, open: (head: AnyHead) => MessageSink): MessageSink {
  const { head, bodyAt } = decodeHead(plaintext)
  const sink = open(head)
  if (bodyAt < plaintext.length) sink.push(plaintext.subarray(bodyAt))
  return sink
}
