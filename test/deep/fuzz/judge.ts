/** Judges a message by the text of PROTOCOL.md alone: the close code, or undefined for none. */

const ATTACH_MAX = 4_096
const SEQ_MAX = 0xffff_ffff

/** A direction of a channel as the relay must count it. */
interface Direction {
  received: number
  acked: number
  costs: number[]
  window: number
}

export interface JudgedChannel {
  readonly state: 'pending' | 'approved' | 'ended'
  readonly s2r: Direction
  readonly r2s: Direction
}

export function channel(state: JudgedChannel['state'], window: number): JudgedChannel {
  const direction = () => ({ received: 0, acked: 0, costs: [], window })
  return { state, s2r: direction(), r2s: direction() }
}

/** Section 5.1, for the first message. `tokens` are those that attach. */
export function judgeFirst(message: string | Uint8Array, tokens: readonly string[]): number | undefined {
  if (Buffer.byteLength(message) > ATTACH_MAX) return 1009
  if (typeof message !== 'string') return 4400
  let attach: unknown
  let hasProto = false
  try {
    attach = JSON.parse(message, (key, value) => {
      hasProto ||= key === '__proto__'
      return value
    })
  } catch {
    return 4400
  }
  if (hasProto || !isAttach(attach)) return 4400
  return tokens.includes(attach.token) ? undefined : 4401
}

function isAttach(value: unknown): value is { token: string } {
  if (!isRecord(value)) return false
  const { type, token, channels } = value
  if (type !== 'attach' || typeof token !== 'string' || !Array.isArray(channels) || channels.length > 32) return false
  // 32 bytes in the one spelling base64url has for them.
  if (
    Buffer.from(token, 'base64url').length !== 32 ||
    Buffer.from(token, 'base64url').toString('base64url') !== token
  ) {
    return false
  }
  const areEntries = channels.every(
    (each: unknown) =>
      isRecord(each) &&
      isWhole(each.channel, 1, 0xffff) &&
      isWhole(each.received, 0, SEQ_MAX) &&
      isWhole(each.acked, 0, SEQ_MAX),
  )
  return areEntries && new Set(channels.map(({ channel }) => channel)).size === channels.length
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isWhole(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && Number(value) >= min && Number(value) <= max
}

/** Sections 5.2 to 5.7, for what comes after the attach. Changes the channels when the message is taken. */
export function judgeNext(
  message: string | Uint8Array,
  role: 'sender' | number,
  channels: readonly JudgedChannel[],
  maxFrameBytes: number,
): number | undefined {
  if (Buffer.byteLength(message) > maxFrameBytes) return 1009
  if (typeof message === 'string' || message.length < 8) return 4400
  const frame = Buffer.from(message)
  const [type, zero, number, seq] = [frame[0], frame[1], frame.readUInt16BE(2), frame.readUInt32BE(4)]
  const ciphertext = frame.length - 8
  const wellFormed = type === 1 ? ciphertext > 0 && seq > 0 : type === 2 && ciphertext === 0
  if (!wellFormed || zero !== 0 || number === 0 || number > channels.length) return 4400
  if (role !== 'sender' && role !== number) return 4400
  const { state, s2r, r2s } = channels[number - 1]
  if (state === 'ended') return undefined
  if (type === 2) {
    ack(role === 'sender' ? r2s : s2r, seq)
    return undefined
  }
  if (state === 'pending' && (seq > 2 || ciphertext > 2_048)) return 4400
  const out = role === 'sender' ? s2r : r2s
  if (seq <= out.received) return undefined
  if (seq !== out.received + 1) return 4400
  const cost = Math.max(256, 8 + ciphertext)
  if (out.costs.reduce((sum, each) => sum + each, cost) > out.window) return 4002
  out.costs.push(cost)
  out.received = seq
  return undefined
}

/** A cumulative ack: everything up to `seq` is done with, also what has not come. */
export function ack(direction: Direction, seq: number): void {
  if (seq <= direction.acked) return
  direction.costs = direction.costs.slice(seq - direction.acked)
  direction.acked = seq
  direction.received = Math.max(direction.received, seq)
}
