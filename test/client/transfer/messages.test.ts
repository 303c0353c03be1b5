import { describe, expect, test } from 'vitest'
import { jsonOf, MessageReader, MessageWriter } from '../../../src/client/transfer/messages.ts'
import { messageKey, StreamSealer } from '../../../src/crypto/stream.ts'
import { FRAME_HEADER_BYTES } from '../../../src/protocol/limits.ts'
import { FakeWorld, linkedChannels, pairingErrorOf } from '../support.ts'

const CHUNK = 65_536
/** As large as the relay's default allows, and as small as it may be: four chunks a frame, and one. */
const LARGE_FRAMES = 262_272
const SMALL_FRAMES = 65_568
const secret = () => Uint8Array.from({ length: 64 }, (_, i) => i)

function ends(maxFrameBytes = LARGE_FRAMES) {
  const world = new FakeWorld()
  const { near, far, wire } = linkedChannels(world.environment)
  const writer = new MessageWriter(near, secret(), maxFrameBytes)
  const reader = new MessageReader(far, secret())
  return { world, near, far, wire, writer, reader }
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i * 7)
}

async function readAll(reader: MessageReader): Promise<Uint8Array> {
  const body = await reader.next()
  const pieces: Uint8Array[] = []
  for (let piece = await body.read(); piece; piece = await body.read()) pieces.push(piece)
  return Buffer.concat(pieces)
}

describe('messages', () => {
  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK - 1, 4 * CHUNK, 4 * CHUNK + 1, 9 * CHUNK + 5])(
    'one of %d bytes arrives as it was, whatever pieces it was written in and whatever frames it took',
    async (length) => {
      for (const maxFrameBytes of [LARGE_FRAMES, SMALL_FRAMES]) {
        for (const pieceLength of [1_000, CHUNK, 1_000_000]) {
          const { writer, reader, wire } = ends(maxFrameBytes)
          const bytes = bytesOf(length)
          const pieces: Uint8Array[] = []
          for (let i = 0; i < length; i += pieceLength) pieces.push(bytes.subarray(i, i + pieceLength))
          const writing = writer.write(pieces)
          expect(Buffer.compare(await readAll(reader), bytes)).toBe(0)
          await writing
          const perFrame = maxFrameBytes === LARGE_FRAMES ? 4 * CHUNK : CHUNK
          expect(wire).toHaveLength(Math.max(1, Math.ceil(length / perFrame)))
          for (const frame of wire) expect(frame.length).toBeLessThanOrEqual(maxFrameBytes)
        }
      }
    },
  )

  test('each has a key of its own, so that equal messages look different', async () => {
    const { writer, wire } = ends()
    await writer.writeJson('the same')
    await writer.writeJson('the same')
    expect(wire[0].slice(FRAME_HEADER_BYTES)).not.toEqual(wire[1].slice(FRAME_HEADER_BYTES))
  })

  test('the bytes so far are reported as the peer acks them', async () => {
    const { writer, reader, world } = ends(SMALL_FRAMES)
    const reported: number[] = []
    const writing = writer.write([bytesOf(2 * CHUNK + 3)], (bytes) => void reported.push(bytes))
    await readAll(reader)
    await world.time.advance(100)
    expect(await writing).toBe(2 * CHUNK + 3)
    expect(reported).toEqual([CHUNK, 2 * CHUNK, 2 * CHUNK + 3])
  })

  test('empty pieces change nothing', async () => {
    const { writer, reader } = ends()
    const writing = writer.write([new Uint8Array(), bytesOf(3), new Uint8Array()])
    expect(await readAll(reader)).toHaveLength(3)
    await writing
  })

  test('what the pieces throw is thrown on, and the reader never sees an end', async () => {
    const { writer, reader, wire } = ends(SMALL_FRAMES)
    const failing = async function* () {
      yield bytesOf(2 * CHUNK)
      throw new RangeError('the disk is gone')
    }
    await expect(writer.write(failing())).rejects.toThrow('the disk is gone')
    const body = await reader.next()
    expect(await body.read()).toHaveLength(CHUNK)
    expect(body.finished).toBe(false)
    expect(wire).toHaveLength(1)
  })

  test.each<[control: object, code: string]>([
    [{ type: 'cancel', message: 0, reason: 'failed' }, 'sender_failed'],
    [{ type: 'cancel', message: 0, reason: 'source_changed' }, 'source_changed'],
    [{ type: 'cancel', message: 0, reason: 'a later word' }, 'cancelled'],
    [{ type: 'cancel', message: 1, reason: 'failed' }, 'corrupt'],
    [{ type: 'end', messages: 1 }, 'corrupt'],
  ])('one that stays without an end, and %j behind it, is %s', async (control, code) => {
    const { writer, reader } = ends(SMALL_FRAMES)
    const failing = async function* () {
      yield bytesOf(CHUNK + 1)
      throw new RangeError('the disk is gone')
    }
    await expect(writer.write(failing())).rejects.toThrow()
    await writer.writeJson(control)
    const body = await reader.next()
    await body.read()
    expect(await pairingErrorOf(body.read())).toBe(code)
  })

  test('the next one cannot be read before this one was', async () => {
    const { writer, reader } = ends(SMALL_FRAMES)
    void writer.write([bytesOf(2 * CHUNK)])
    await reader.next()
    expect(await pairingErrorOf(reader.next())).toBe('incomplete')
  })

  test('a frame is acked only when the one after it is asked for, or the end was seen', async () => {
    const { writer, reader, far, world } = ends(SMALL_FRAMES)
    const writing = writer.write([bytesOf(2 * CHUNK)])
    const body = await reader.next()
    await body.read()
    await world.time.advance(1_000)
    expect(far.resume().received).toBe(0)
    await body.read()
    expect(far.resume().received).toBe(1)
    expect(await body.read()).toBe(undefined)
    expect(far.resume().received).toBe(2)
    await writing
  })

  test('a relay whose frames cannot hold one chunk is refused', async () => {
    const { near } = linkedChannels(new FakeWorld().environment)
    expect(await pairingErrorOf(() => new MessageWriter(near, secret(), CHUNK + 24))).toBe('relay_misbehaved')
    new MessageWriter(near, secret(), CHUNK + 25)
  })

  test('a wiped writer seals nothing under what is left of its key', async () => {
    const { writer, wire } = ends()
    writer.wipe()
    expect(await pairingErrorOf(writer.writeJson('a secret'))).toBe('aborted')
    expect(wire).toEqual([])
  })

  test('wiping overwrites the traffic secret that was given', () => {
    const { near, far } = linkedChannels(new FakeWorld().environment)
    const [mine, theirs] = [secret(), secret()]
    new MessageWriter(near, mine, LARGE_FRAMES).wipe()
    new MessageReader(far, theirs).wipe()
    expect([...mine, ...theirs].every((byte) => byte === 0)).toBe(true)
  })
})

describe('what the peer cannot have sent', () => {
  /** Sends frames that somebody else has made. */
  async function readForged(frames: Uint8Array[]): Promise<string | undefined> {
    const { near, reader } = ends()
    for (const frame of frames) await near.send(withRoom(frame))
    return pairingErrorOf(readAll(reader))
  }

  const withRoom = (ciphertext: Uint8Array) => Buffer.concat([new Uint8Array(FRAME_HEADER_BYTES), ciphertext])
  const sealed = (index: number, text: string) =>
    new StreamSealer(messageKey(secret(), index)).sealFrame(Buffer.from(text), true)

  test('a frame with any bit changed is corrupt', async () => {
    const attacker = sealed(0, 'ten bytes.')
    expect(await readForged([attacker])).toBe(undefined)
    for (let bit = 0; bit < attacker.length * 8; bit += 5) {
      const changed = attacker.slice()
      changed[bit >> 3] ^= 1 << (bit & 7)
      expect(await readForged([changed])).toBe('corrupt')
    }
  })

  test('a frame of another message, or of another secret, is corrupt', async () => {
    const attacker = new StreamSealer(messageKey(new Uint8Array(64), 0)).sealFrame(Buffer.from('hello'), true)
    expect(await readForged([attacker])).toBe('corrupt')
    expect(await readForged([sealed(1, 'hello')])).toBe('corrupt')
  })

  test('frames in another order are corrupt', async () => {
    const attacker = new StreamSealer(messageKey(secret(), 0))
    const [first, second] = [attacker.sealFrame(bytesOf(CHUNK), false), attacker.sealFrame(bytesOf(CHUNK), true)]
    expect(await readForged([first, second])).toBe(undefined)
    expect(await readForged([second, first])).toBe('corrupt')
  })

  test.each([
    ['{"a":1} and more', '{"a":1}!'],
    ['a key __proto__', '{"__proto__":{"delivered":true}}'],
    ['nothing', ''],
    ['bytes that are not UTF-8', Buffer.from([0x22, 0xff, 0x22])],
    ['a half of a surrogate pair, as bytes', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
  ])('JSON with %s is corrupt', async (_, text) => {
    const attacker = Buffer.from(text)
    expect(await pairingErrorOf(() => jsonOf(attacker))).toBe('corrupt')
  })

  test('a control message of more than one frame is corrupt', async () => {
    const { writer, reader } = ends(SMALL_FRAMES)
    // The first of them is JSON by itself.
    const attacker = writer.write([Buffer.from('{}'.padEnd(CHUNK + 1))])
    const body = await reader.next()
    expect(await pairingErrorOf(body.readJson())).toBe('corrupt')
    await attacker
  })
})
