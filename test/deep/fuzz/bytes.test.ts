import { afterAll, describe, expect, test } from 'vitest'
import { encodeAck, encodeData } from '../../../src/protocol/frame.ts'
import { BINARY, CLOSE, PING, PONG, TEXT, wsFrame } from '../../conformance/raw.ts'
import { FakeClock } from '../../support/fake-clock.ts'
import { FACTOR, Random, SEED } from '../../support/random.ts'
import { type Ending, RawWebSocket } from '../../support/raw-web-socket.ts'
import { settled } from '../../support/relay.ts'
import { startRelay } from '../../support/server.ts'
import { CASES, MAX_FRAME_BYTES } from './byte-cases.ts'
import { overHttp } from './scene.ts'
import { mutatedBytes } from './values.ts'

/** The bytes of a WebSocket, below its messages. The same bytes have the same effect, wherever a network cuts them. */

const clock = new FakeClock()
const relay = await startRelay({ clock, logLevel: 'error', settings: { maxFrameBytes: MAX_FRAME_BYTES } })
afterAll(() => relay.close())

interface Effect {
  /** How the attacker's socket ended, after it had nothing more to say. */
  readonly ending: Ending
  readonly pongs: readonly string[]
  /** The data frames its peer got, byte for byte. */
  readonly delivered: readonly string[]
  /** The last ack its peer got: of several only the last has to go out. */
  readonly acked: string | undefined
}

type Cut = (bytes: Buffer) => Buffer[]

/** Attaches as the sender of a new session, says the bytes in these pieces, and ends the connection. */
async function effectOf(bytes: Buffer, cut: Cut): Promise<Effect> {
  const scene = await overHttp(relay.url)
  const peer = new RawWebSocket(relay.port, scene.sessionId, attach(scene.tokens[1]))
  await peer.settled()
  const attacker = new RawWebSocket(relay.port, scene.sessionId, attach(scene.tokens.sender))
  await attacker.settled()
  await peer.settled()
  const before = { pongs: attacker.pongs.length, frames: peer.frames.length }
  for (const piece of cut(bytes)) {
    attacker.write(piece)
    // The relay is in this process: it reads what was written before this turn of the event loop is over.
    await settled()
  }
  attacker.finish()
  const ending = await attacker.ended
  await peer.settled()
  peer.destroy()
  await scene.close()
  const frames = peer.frames.slice(before.frames).filter(({ opcode }) => opcode === BINARY)
  const [delivered, acks] = [1, 2].map((type) => hex(...frames.flatMap(({ payload: p }) => (p[0] === type ? [p] : []))))
  return { ending, pongs: attacker.pongs.slice(before.pongs), delivered, acked: acks.at(-1) }
}

const attach = (token: string) => wsFrame(TEXT, JSON.stringify({ type: 'attach', token, channels: [] }))
const whole: Cut = (bytes) => [bytes]
const everywhere: Cut = (bytes) => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1))
const at =
  (index: number): Cut =>
  (bytes) =>
    [bytes.subarray(0, index), bytes.subarray(index)].filter(({ length }) => length > 0)

/** At most so many pieces, cut anywhere; the heads of frames are where it matters, so many cuts are early. */
function somewhere(random: Random, pieces: number): Cut {
  return (bytes) => {
    const limit = random.chance(0.5) ? Math.min(bytes.length, 200) : bytes.length
    const cuts = Array.from({ length: pieces }, () => random.below(limit + 1)).sort((a, b) => a - b)
    return [0, ...cuts].flatMap((from, i) => (cuts[i] === from ? [] : [bytes.subarray(from, cuts[i])]))
  }
}

const data = (seq: number, ciphertext: Uint8Array = Buffer.from(`frame ${seq}`)) => encodeData(1, seq, ciphertext)
const hex = (...frames: Uint8Array[]) => frames.map((each) => Buffer.from(each).toString('hex'))

describe.each(CASES)('$what', ({ bytes, code, pongs = [], delivers = 0 }) => {
  const frames = hex(...Array.from({ length: delivers }, (_, i) => data(i + 1)))
  test('has the documented effect, in one piece and byte by byte', async () => {
    const said = bytes()
    const effect = await effectOf(said, whole)
    expect(effect).toMatchObject({ pongs, delivered: frames })
    expect(codeOf(effect.ending)).toBe(code)
    const cut = said.length < 1_000 ? everywhere : somewhere(new Random('case', said.length), 100)
    expect(await effectOf(said, cut)).toEqual(effect)
  })
})

describe('bytes that are cut', () => {
  const random = new Random('cut')
  const mask = random.bytes(4)
  const program = Buffer.concat([
    wsFrame(BINARY, data(1), { maskKey: mask }),
    wsFrame(PING, 'a ping'),
    wsFrame(BINARY, data(2).subarray(0, 3), { flags: 0, maskKey: mask }),
    wsFrame(PING, ''),
    wsFrame(0, data(2).subarray(3), { maskKey: random.bytes(4) }),
    wsFrame(PONG, 'nobody asked'),
    wsFrame(BINARY, data(3, random.bytes(140)), { maskKey: random.bytes(4) }),
    wsFrame(BINARY, encodeAck(1, 0), { maskKey: mask }),
  ])

  test(`have the same effect for a cut at each of the ${program.length} bytes`, async () => {
    const effect = await effectOf(program, whole)
    expect(effect).toMatchObject({ ending: 'cut', pongs: ['a ping', ''] })
    expect(effect.delivered).toHaveLength(3)
    for (let index = 1; index < program.length; index++) {
      expect(await effectOf(program, at(index)), `cut at ${index}`).toEqual(effect)
    }
  })

  test('have the same effect for frames of many lengths in one chunk, two of which do not fit into it', async () => {
    const lengths = [1, 117, 118, 119, 1_000, 65_527, 65_528, 100_000, 5, 30_000]
    const frames = lengths.map((length, i) => data(i + 1, random.bytes(length)))
    const said = Buffer.concat(frames.map((frame) => wsFrame(BINARY, frame, { maskKey: random.bytes(4) })))
    const effect = await effectOf(said, whole)
    expect(effect.delivered).toEqual(hex(...frames))
    for (let times = 0; times < 10; times++) {
      expect(await effectOf(said, somewhere(random, random.between(1, 60)))).toEqual(effect)
    }
  })

  test(`have the same effect for ${50 * FACTOR} mutated programs (seed ${SEED})`, async () => {
    for (let times = 0; times < 50 * FACTOR; times++) {
      const attacker = mutatedProgram(new Random('program', times))
      const effect = await effectOf(attacker, everywhere)
      for (const cut of [whole, somewhere(random, 3), somewhere(random, 12)]) {
        expectSame(await effectOf(attacker, cut), effect, `${times}: ${attacker.toString('hex')}`)
      }
    }
  })
})

test('the relay has logged no failure and holds no socket after all of this', async () => {
  for (let round = 0; round < 2; round++) {
    clock.advance(10_000_000)
    await relay.tick()
  }
  await settled()
  expect(relay.counters()).toMatchObject({ sessions: 0, mailboxes: 0, grantedBytes: 0, sockets: 0, webSockets: 0 })
  expect(relay.log).toEqual([])
})

/**
 * The same effect as byte by byte. Only when what closed the socket there is an error of a message (4400 and the like) may
 * the frames behind it, where they came in one chunk, be read before the close: a ping answered, a worse error found.
 */
function expectSame(effect: Effect, bytewise: Effect, what: string): void {
  if (typeof bytewise.ending !== 'object' || bytewise.ending.code < 4_000) return expect(effect, what).toEqual(bytewise)
  const pongs = effect.pongs.slice(0, bytewise.pongs.length)
  expect({ ...effect, pongs, ending: bytewise.ending }, what).toEqual(bytewise)
  expect(effect.ending, what).not.toBe('cut')
}

/** A few frames as they should be, and then a few bytes that are not. */
function mutatedProgram(random: Random): Buffer {
  let seq = 0
  const frame = () => {
    const maskKey = random.bytes(4)
    switch (random.below(6)) {
      case 0:
        return wsFrame(PING, random.bytes(random.below(20)), { maskKey })
      case 1:
        return wsFrame(BINARY, encodeAck(1, 0), { maskKey })
      case 2: {
        const bytes = data(++seq)
        const middle = random.below(bytes.length)
        return Buffer.concat([
          wsFrame(BINARY, bytes.subarray(0, middle), { flags: 0, maskKey }),
          wsFrame(0, bytes.subarray(middle), { maskKey }),
        ])
      }
      case 3:
        return wsFrame(random.pick([TEXT, CLOSE, 3, 11]), random.bytes(random.below(4)), { maskKey })
      default:
        return wsFrame(BINARY, data(++seq, random.bytes(random.between(1, 150))), {
          maskKey,
          ...random.pick([{}, {}, { lengthBytes: 2 }, { lengthBytes: 8 }] as const),
        })
    }
  }
  const program = Buffer.concat(Array.from({ length: random.between(1, 5) }, frame))
  return random.chance(0.2) ? program : mutatedBytes(random, program)
}

function codeOf(ending: Ending): number | 'cut' {
  return ending === 'cut' ? ending : ending.code
}
