import { encodeAck, encodeData } from '../../../src/protocol/frame.ts'
import type { Random } from '../../support/random.ts'
import type { JudgedChannel } from './judge.ts'
import { mutatedBytes, mutatedJson, mutatedValue } from './values.ts'

/** Messages of the WebSocket, some of them right, most of them mutated. */

/** A first message: the attach of this token, hardly ever as it should be. */
export function firstMessage(random: Random, token: string): string | Buffer {
  const entry = () => ({ channel: random.between(1, 4), received: random.below(5), acked: random.below(5) })
  const channels = Array.from({ length: random.below(4) }, entry)
  const attach = { type: 'attach', token: random.chance(0.9) ? token : random.word(43), channels }
  const json = JSON.stringify(attach)
  switch (random.below(10)) {
    case 0:
      return mutatedBytes(random, Buffer.from(json))
    case 1:
      return nextMessage(random, 'sender', []).message
    case 2:
    case 3:
    case 4:
      return asUtf8(mutatedJson(random, json))
    case 5:
      return asUtf8(mutatedBytes(random, Buffer.from(json)).toString())
    case 6:
      return asUtf8(JSON.stringify(mutatedValue(random, mutatedValue(random, attach))) ?? '')
    case 7:
      return json
    default:
      return asUtf8(JSON.stringify(mutatedValue(random, attach)) ?? '')
  }
}

/** As it arrives: half of a surrogate pair has no UTF-8. */
function asUtf8(text: string): string {
  return Buffer.from(text).toString()
}

/** A message after the attach. `kind` says what it was meant to be. */
export function nextMessage(
  random: Random,
  role: 'sender' | number,
  channels: readonly JudgedChannel[],
): { readonly kind: string; readonly message: string | Buffer } {
  const channel = role === 'sender' ? random.between(1, Math.max(1, channels.length)) : role
  const there = channels[channel - 1]
  const mine = there && (role === 'sender' ? there.s2r : there.r2s)
  const theirs = there && (role === 'sender' ? there.r2s : there.s2r)
  const received = mine?.received ?? 0
  const size = random.chance(0.05) ? random.pick([2_047, 2_048, 2_049, 4_089, 5_000]) : random.between(1, 64)
  const data = (seq: number) => Buffer.from(encodeData(channel, seq >>> 0, random.bytes(size)))
  switch (random.below(20)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
      return { kind: 'next', message: data(received + 1) }
    case 5:
    case 6:
      return { kind: 'duplicate', message: data(Math.max(1, received - random.below(3))) }
    case 7:
    case 8:
    case 9:
    case 10:
      return { kind: 'ack', message: Buffer.from(encodeAck(channel, (theirs?.acked ?? 0) + random.below(3))) }
    case 11:
      return { kind: 'old ack', message: Buffer.from(encodeAck(channel, random.below((theirs?.acked ?? 0) + 1))) }
    case 12:
      return { kind: 'any channel', message: Buffer.from(encodeAck(random.between(0, 5), random.below(9))) }
    case 13:
      return { kind: 'mutated', message: mutatedBytes(random, data(received + 1)) }
    case 14:
      return { kind: 'mutated', message: mutatedBytes(random, Buffer.from(encodeAck(channel, random.below(9)))) }
    case 15:
      return { kind: 'gap', message: data(received + random.pick([2, 3, 100, 0xffff_fffe])) }
    case 16:
      return { kind: 'mutated', message: random.bytes(random.below(40)) }
    case 17:
      return { kind: 'header', message: header(random) }
    case 18: {
      const json = JSON.stringify({ type: 'attach', token: random.word(43), channels: [] })
      return { kind: 'text', message: random.chance(0.5) ? json : asUtf8(mutatedJson(random, json)) }
    }
    default:
      return { kind: 'next', message: data(received + 1) }
  }
}

/** Eight bytes or a few more, each field at a border. */
function header(random: Random): Buffer {
  const bytes = Buffer.alloc(8 + random.pick([0, 0, 1, 16]))
  bytes[0] = random.pick([0, 1, 1, 2, 2, 3, 0x81, 0xff])
  bytes[1] = random.pick([0, 0, 0, 1, 0xff])
  bytes.writeUInt16BE(random.pick([0, 1, 2, 3, 4, 0x100, 0xffff]), 2)
  bytes.writeUInt32BE(random.pick([0, 1, 2, 4, 5, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]), 4)
  return bytes
}
