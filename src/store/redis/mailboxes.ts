import { FRAME_HEADER_BYTES, frameCost } from '../../protocol/limits.ts'
import { inOnePiece } from '../../relay/pieces.ts'
import type {
  AckOutcome,
  AppendOutcome,
  MailboxKey,
  MailboxPosition,
  MailboxStore,
  StoredFrame,
} from '../../relay/ports.ts'
import type { RedisConnection } from './connection.ts'
import { KEYS } from './keys.ts'

/** Mailboxes that every node reaches. */
export class RedisMailboxStore implements MailboxStore {
  readonly #redis: RedisConnection

  constructor(redis: RedisConnection) {
    this.#redis = redis
  }

  async open(key: MailboxKey, floor: number, keepMs: number): Promise<{ created: boolean; position: MailboxPosition }> {
    const answer = await this.#redis.script('openMailbox', KEYS.mailbox(key), [floor, Math.ceil(keepMs)])
    const [created, received, acked] = answer as [number, number, number]
    return { created: created === 1, position: { received, acked } }
  }

  async append(key: MailboxKey, { seq, bytes }: StoredFrame, window: number): Promise<AppendOutcome> {
    const cost = frameCost(bytes.length - FRAME_HEADER_BYTES)
    const answer = await this.#redis.script('append', KEYS.mailbox(key), [seq, cost, window, inOnePiece(bytes)])
    if (!answer) return { kind: 'unknown' }
    const [kind, received, acked, unackedCost] = answer as ['stored' | 'duplicate' | 'gap' | 'full', ...number[]]
    return { kind, position: positionOf(received, acked), unackedCost: unackedCost ?? 0 }
  }

  async ackThrough(key: MailboxKey, seq: number): Promise<AckOutcome> {
    const answer = await this.#redis.script('ack', KEYS.mailbox(key), [seq])
    if (!answer) return { kind: 'unknown' }
    const [kind, received, acked] = answer as ['raised' | 'unchanged', ...number[]]
    return { kind, position: positionOf(received, acked) }
  }

  async read(key: MailboxKey, after: number): Promise<StoredFrame | undefined> {
    const [, frames] = KEYS.mailbox(key)
    const answer = await this.#redis.bytes('XRANGE', frames, `${after + 1}-0`, '+', 'COUNT', 1)
    const [entry] = answer as [[Buffer, [Buffer, Buffer]]?]
    if (!entry) return undefined
    const [id, [, bytes]] = entry
    return { seq: Number.parseInt(id.toString(), 10), bytes }
  }

  async position(key: MailboxKey): Promise<MailboxPosition | undefined> {
    const [mailbox] = KEYS.mailbox(key)
    const [received, acked] = (await this.#redis.command('HMGET', mailbox, 'received', 'acked')) as (string | null)[]
    return received === null ? undefined : positionOf(Number(received), Number(acked))
  }

  async drop(keys: readonly MailboxKey[]): Promise<void> {
    if (keys.length > 0) await this.#redis.command('DEL', ...keys.flatMap(KEYS.mailbox))
  }
}

function positionOf(received = 0, acked = 0): MailboxPosition {
  return { received, acked }
}
