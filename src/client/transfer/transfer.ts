import * as z from 'zod/mini'
import { utf8Length } from '../../protocol/text.ts'
import { PairingError } from '../errors.ts'
import { jsonOf, type MessageBody } from './messages.ts'

/**
 * A transfer is one message: `u32be` header length, a JSON header `{"items":[…]}`, then the items' bytes in their order.
 */

export const TRANSFER_HEADER_MAX_BYTES = 65_536
export const ITEMS_MAX = 1_000
export const ITEM_NAME_MAX_BYTES = 255
const LENGTH_BYTES = 4

const Item = z.object({
  name: z.string().check(
    z.minLength(1),
    // A lone surrogate has no UTF-8.
    z.refine((name) => utf8Length(name) <= ITEM_NAME_MAX_BYTES && !/\p{Surrogate}/u.test(name)),
  ),
  size: z.optional(z.int().check(z.minimum(0))),
  type: z.optional(z.string().check(z.maxLength(ITEM_NAME_MAX_BYTES))),
})

const Header = z
  .object({ items: z.array(Item).check(z.minLength(1), z.maxLength(ITEMS_MAX)) })
  .check(z.refine(({ items }) => items.length === 1 || items.every(({ size }) => size !== undefined)))
  .check(z.refine(({ items }) => Number.isSafeInteger(totalOf(items) ?? 0)))

/** An item as its transfer announces it. Name and type are the peer's words. `size` is absent for a pipe. */
export interface ItemInfo {
  readonly name: string
  readonly size?: number | undefined
  readonly type?: string | undefined
}

/** The bytes of all items, or undefined when that is not known beforehand. */
export function totalOf(items: readonly ItemInfo[]): number | undefined {
  return items.reduce<number | undefined>((sum, { size }) => {
    return sum === undefined || size === undefined ? undefined : sum + size
  }, 0)
}

/** The first bytes of a transfer. Throws RangeError for items a transfer cannot have. */
export function encodeHeader(items: readonly ItemInfo[]): Uint8Array {
  const header = Header.safeParse({ items })
  if (!header.success) {
    throw new RangeError(
      `a transfer has 1 to ${ITEMS_MAX} items with names of 1 to ${ITEM_NAME_MAX_BYTES} bytes and known sizes`,
    )
  }
  const json = new TextEncoder().encode(JSON.stringify(header.data))
  if (json.length > TRANSFER_HEADER_MAX_BYTES) throw new RangeError('the names of the items are too long together')
  const bytes = new Uint8Array(LENGTH_BYTES + json.length)
  new DataView(bytes.buffer).setUint32(0, json.length)
  bytes.set(json, LENGTH_BYTES)
  return bytes
}

/** Reports whether a message is a control message, which is JSON. A transfer starts with a length whose first byte is 0. */
export async function isControl(body: MessageBody): Promise<boolean> {
  return (await body.peek())[0] === '{'.charCodeAt(0)
}

/**
 * Reads a transfer from its message. Throws PairingError `incomplete` for a message that ends early, and `corrupt` for
 * everything else that is not exactly as announced.
 */
export class TransferReader {
  readonly items: readonly ItemInfo[]
  readonly #body: MessageBody
  /** Plaintext read and not given out. */
  #rest: Uint8Array

  private constructor(body: MessageBody, items: readonly ItemInfo[], rest: Uint8Array) {
    this.#body = body
    this.items = items
    this.#rest = rest
  }

  static async open(body: MessageBody): Promise<TransferReader> {
    let head = new Uint8Array()
    const atLeast = async (length: number) => {
      while (head.length < length) {
        const more = await body.read()
        if (!more) throw new PairingError('incomplete')
        const joined = new Uint8Array(head.length + more.length)
        joined.set(head)
        joined.set(more, head.length)
        head = joined
      }
    }
    await atLeast(LENGTH_BYTES)
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
    if (length > TRANSFER_HEADER_MAX_BYTES) throw new PairingError('corrupt')
    await atLeast(LENGTH_BYTES + length)
    const header = Header.safeParse(jsonOf(head.subarray(LENGTH_BYTES, LENGTH_BYTES + length)))
    if (!header.success) throw new PairingError('corrupt')
    return new TransferReader(body, header.data.items, head.subarray(LENGTH_BYTES + length))
  }

  /** The next piece of the item that is being read, `left` bytes before its end; undefined at its end. */
  async read(left: number | undefined): Promise<Uint8Array | undefined> {
    if (left === 0) return undefined
    while (this.#rest.length === 0) {
      const more = await this.#body.read()
      if (!more) {
        // Only a pipe may end where its message ends.
        if (left === undefined) return undefined
        throw new PairingError('incomplete')
      }
      this.#rest = more
    }
    const piece = this.#rest.subarray(0, left)
    this.#rest = this.#rest.subarray(piece.length)
    return piece
  }

  /** Makes sure that the message ends here: a surplus byte is as bad as a missing one. */
  async finish(): Promise<void> {
    if (this.#rest.length > 0 || (await this.#body.read()) !== undefined) throw new PairingError('corrupt')
  }
}
