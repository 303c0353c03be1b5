import { describe, expect, test } from 'vitest'
import { DeviceName } from '../../../src/protocol/fields.ts'
import {
  CODE_MAX_LENGTH,
  JOINS_MAX,
  NAME_MAX_BYTES,
  PENDING_MAX,
  RECEIVERS_MAX,
  SEQ_MAX,
  VIEW_MAX_BYTES,
} from '../../../src/protocol/limits.ts'
import { View } from '../../../src/protocol/view.ts'
import { zodOf } from '../../../src/protocol/zod.ts'
import { VARIABLES } from '../../../src/server/config.ts'
import { opened, publicKey, TestRelay } from '../../support/relay.ts'

/** The largest window an operator can set, as large as it gets in a view. */
const WINDOW_BYTES = 64 * 1024 * 1024

const code = (number: number) => String(number).padEnd(CODE_MAX_LENGTH, '-')

/** Names of the most bytes a name may have, each in its own way. */
const NAMES = ['a'.repeat(64), '"'.repeat(32), '\\'.repeat(32), '\u0001'.repeat(10), '🙂'.repeat(16), 'é'.repeat(32)]

/** Receivers that can be live at once: the last approval retires the code, so no join comes after it. */
const LIVE_MAX = RECEIVERS_MAX - 1 + PENDING_MAX
const ENDED = JOINS_MAX - LIVE_MAX

/** A session in which as much as possible has happened: 32 joins, 15 of them live, everything as long as it may be. */
async function fullSession(name: string) {
  const node = new TestRelay({
    settings: { maxFrameBytes: WINDOW_BYTES, windowBytes: WINDOW_BYTES, memoryBudgetBytes: 32 * WINDOW_BYTES },
  })
  const sender = await node.open({ senderCode: code(99), maxReceivers: RECEIVERS_MAX, ttlSeconds: 3600 })
  for (let number = 1; number <= JOINS_MAX; number++) {
    const key = publicKey(0xffff_ffff - number)
    const request = { receiverCode: code(number), publicKey: key, name }
    const receiver = await node.join(sender.senderCode, request, `source ${number}`)
    await node.attach(receiver, [{ channel: number, received: SEQ_MAX, acked: SEQ_MAX }])
    if (number <= ENDED) {
      const denied = { decision: 'denied', reason: 'handshake_timeout' } as const
      await node.relay.decide(sender.sessionId, sender.token, receiver.receiverCode, denied)
    } else if (number < ENDED + RECEIVERS_MAX) {
      await node.approve(sender, receiver)
    }
  }
  await node.approve(sender, { receiverCode: code(ENDED + RECEIVERS_MAX) })
  return { node, sender }
}

describe('the view', () => {
  for (const name of NAMES) {
    test(`of the fullest session with names like ${JSON.stringify(name.slice(0, 4))}… is within its bound`, async () => {
      expect(DeviceName.safeParse(name).success).toBe(true)
      const { node, sender } = await fullSession(name)
      const view = await node.view(sender)
      expect(view.receivers).toHaveLength(JOINS_MAX)
      expect(view.receivers.map((each) => each.state)).toEqual([
        ...Array(ENDED).fill('denied'),
        ...Array(RECEIVERS_MAX).fill('approved'),
        ...Array(PENDING_MAX - 1).fill('pending'),
      ])
      expect(view.channels).toHaveLength(LIVE_MAX)
      for (const row of view.channels) expect(row).toMatchObject({ received: SEQ_MAX, acked: SEQ_MAX })
      // `version` is the one part that is not as long as it can be; the schema allows it 32 characters.
      const longest = { ...view, version: 'v'.repeat(32), expiresInMs: 3_600_000 }
      expect(Buffer.byteLength(JSON.stringify(longest))).toBeLessThanOrEqual(VIEW_MAX_BYTES)
    })
  }

  test('a name one byte too long is refused, whatever it is made of', () => {
    for (const name of NAMES) expect(DeviceName.safeParse(`${name}a`.padEnd(NAME_MAX_BYTES + 1)).success).toBe(false)
    for (const name of [
      '"'.repeat(33),
      '\\'.repeat(33),
      '\u0001'.repeat(11),
      '🙂'.repeat(17),
      '\ud800'.repeat(11),
      '',
    ]) {
      expect(DeviceName.safeParse(name).success).toBe(false)
    }
  })

  test('the window bound used here is the largest an operator can set', () => {
    expect(VARIABLES.WINDOW_BYTES.form).toContain(`to ${WINDOW_BYTES}`)
  })

  test('has the documented form for every role and state', async () => {
    const { node, sender } = await fullSession('a name')
    expect(zodOf(View).safeParse(await node.view(sender)).error).toBeUndefined()
    await node.close(sender)
    expect(zodOf(View).safeParse(await node.view(sender)).error).toBeUndefined()
  })

  test('is another version after every change of the session, and the same one without', async () => {
    const { node, sender } = await opened()
    const versions = [(await node.view(sender)).version]
    const receiver = await node.join(sender.senderCode)
    versions.push((await node.view(sender)).version)
    const socket = await node.attach(receiver)
    versions.push((await node.view(sender)).version)
    await node.approve(sender, receiver)
    versions.push((await node.view(sender)).version)
    await node.approve(sender, receiver)
    expect((await node.view(sender)).version).toBe(versions.at(-1))
    socket.vanish()
    await node.end(receiver, receiver)
    versions.push((await node.view(sender)).version)
    await node.close(sender)
    versions.push((await node.view(sender)).version)
    expect(new Set(versions).size).toBe(versions.length)
    await node.close(sender)
    expect((await node.view(sender)).version).toBe(versions.at(-1))
  })
})
