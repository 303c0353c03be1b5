import { expect, test } from 'vitest'
import { type AnyHead, decodeHead } from '../../../src/client/transfer/kinds.ts'
import type { MessageWriter } from '../../../src/client/transfer/message-writer.ts'
import { type ContentSource, HEAD_ROOM_BYTES, Outbox } from '../../../src/client/transfer/outbox.ts'
import { settled } from '../fake-time.ts'

/** An outbox whose writer waits at each message, and what it was given so far. */
function gated() {
  const heads: AnyHead[] = []
  let go = () => {}
  const write = (message: Uint8Array) => {
    heads.push(decodeHead(message).head)
    return new Promise<void>((resolve) => (go = resolve))
  }
  const outbox = new Outbox({ frameBytes: 65_536, write } as Partial<MessageWriter> as MessageWriter)
  outbox.run().catch(() => {})
  /** Lets so many messages go. */
  const letGo = async (count: number) => {
    for (let n = 0; n < count; n++) {
      go()
      await settled()
    }
  }
  const written = () => heads.map((head) => ('offer' in head ? `${head.kind} ${head.offer}` : head.kind))
  return { outbox, heads, written, letGo }
}

/** Content without an end. */
function endless(offer: number): ContentSource {
  return { offer, next: () => new Uint8Array(HEAD_ROOM_BYTES + 5).subarray(HEAD_ROOM_BYTES) }
}

test('behind one frame of content come replies, then posts, then content of the running offers in turn', async () => {
  const { outbox, written, letGo } = gated()
  for (const offer of [1, 2, 3]) outbox.startContent(endless(offer))
  await settled()
  expect(written()).toEqual(['content 1'])
  outbox.say({ kind: 'post' })
  outbox.say({ kind: 'stop', offer: 7, reason: 'failed' })
  outbox.allow({ kind: 'take', offer: 8, taken: 1, through: 2 })
  outbox.say({ kind: 'post' })
  await letGo(9)
  const contents = ['content 2', 'content 3', 'content 1', 'content 2', 'content 3']
  expect(written().slice(1)).toEqual(['stop 7', 'take 8', 'post', 'post', ...contents])
})

test('a goodbye follows the posts before it, and replies pass it', async () => {
  const { outbox, written, letGo } = gated()
  outbox.say({ kind: 'post' })
  await settled()
  outbox.say({ kind: 'post' })
  outbox.say({ kind: 'bye' })
  outbox.say({ kind: 'receipt', offer: 1, bytes: 5 })
  await letGo(3)
  expect(written()).toEqual(['post', 'receipt 1', 'post', 'bye'])
})

test('an allowance that waits gives way to a newer one about the same', async () => {
  const { outbox, heads, letGo } = gated()
  outbox.say({ kind: 'post' })
  await settled()
  for (const taken of [1, 2, 3]) {
    for (const offer of [1, 2]) outbox.allow({ kind: 'take', offer, taken, through: 9 })
    outbox.allow({ kind: 'take', posts: taken })
  }
  await letGo(9)
  expect(heads.slice(1)).toEqual([
    { kind: 'take', offer: 1, taken: 3, through: 9 },
    { kind: 'take', offer: 2, taken: 3, through: 9 },
    { kind: 'take', posts: 3 },
  ])
})
