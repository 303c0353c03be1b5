import fc from 'fast-check'
import { expect } from 'vitest'
import { Channel } from '../../../src/client/link/channel.ts'
import { decodeFrame, encodeAck, FRAME_ACK, type Frame } from '../../../src/protocol/frame.ts'
import { FRAME_HEADER_BYTES } from '../../../src/protocol/limits.ts'
import type { ChannelRow } from '../../../src/protocol/view.ts'
import { Mailbox } from '../../../src/store/memory/mailbox.ts'
import { holds } from '../../support/property.ts'
import { settled } from '../fake-time.ts'
import { FakeWorld } from '../support.ts'

/** Two channels and a relay between them that keeps the protocol and forgets, delays and cuts whatever it may. */

const FRAME_COSTS = { min: 256, max: 4_096 }
const WINDOW_STEPS = [4_096, 8_192, 16_384]
const MAX_INBOUND = 16_384
const SIDES = ['near', 'far'] as const
type SideName = (typeof SIDES)[number]

type Up =
  | { readonly kind: 'attach'; readonly received: number; readonly acked: number }
  | { readonly kind: 'frame'; readonly bytes: Uint8Array }
type Down = { readonly kind: 'view'; readonly row: ChannelRow } | { readonly kind: 'frame'; readonly frame: Frame }

/** An end: its channel, and its socket if it has one. */
class Side {
  readonly world = new FakeWorld()
  readonly channel = new Channel(1, MAX_INBOUND, this.world.environment)
  readonly sent: number[] = []
  readonly got: number[] = []
  sendsDone = 0
  connected = false
  /** The part of the socket's attach that the relay has seen. */
  attached = false
  up: Up[] = []
  down: Down[] = []
  cursor = 0
  #handedOut = 0
  #reading = false
  grant = WINDOW_STEPS[0]
  /** Where this side's frames wait for the other's ack; undefined when the relay has forgotten it. */
  outbox: Mailbox | undefined = new Mailbox()

  constructor() {
    this.channel.verified()
    this.channel.approved()
  }

  connect(): void {
    if (this.connected) return
    this.connected = true
    const { received, acked } = this.channel.resume()
    this.up.push({ kind: 'attach', received, acked })
  }

  cut(): void {
    this.connected = false
    this.attached = false
    this.up = []
    this.down = []
    this.channel.detach()
  }

  send(cost: number): void {
    const bytes = new Uint8Array(cost).fill(this.sent.length & 0xff, FRAME_HEADER_BYTES)
    this.sent.push(cost)
    void this.channel.send(bytes).then(() => this.sendsDone++)
  }

  /** Asks for a frame, and gets it whenever it comes. */
  async read(): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    const ciphertext = await this.channel.receive()
    this.#reading = false
    this.got.push(ciphertext.length + FRAME_HEADER_BYTES)
    expect(ciphertext.every((byte) => byte === ((this.got.length - 1) & 0xff))).toBe(true)
    this.#handedOut++
  }

  process(): void {
    if (this.#handedOut > 0) this.channel.processed()
  }

  /** The client's end of the socket takes what is next for it. */
  takeDown(): boolean {
    const next = this.down.shift()
    if (next?.kind === 'view') {
      if (!this.channel.isAttached) this.channel.attach(next.row, (bytes) => this.#write(bytes))
      else this.channel.grow(next.row.window)
    } else if (next?.frame.type === FRAME_ACK) this.channel.takeAck(next.frame.seq)
    else if (next) this.channel.takeData(next.frame)
    return next !== undefined
  }

  #write(bytes: Uint8Array): void {
    if (this.connected) this.up.push({ kind: 'frame', bytes: bytes.slice() })
  }
}

class Model {
  readonly near = new Side()
  readonly far = new Side()

  other(name: SideName): Side {
    return name === 'near' ? this.far : this.near
  }

  /** The relay takes the next thing from a side's socket. */
  takeUp(name: SideName): boolean {
    const side = this[name]
    const other = this.other(name)
    const next = side.up.shift()
    if (!next) return false
    if (next.kind === 'attach') this.#attach(side, other, next)
    else this.#takeFrame(side, other, decodeFrame(next.bytes))
    return true
  }

  #attach(side: Side, other: Side, { received, acked }: { received: number; acked: number }): void {
    const forgotten = !side.outbox || !other.outbox
    side.outbox ??= new Mailbox(acked)
    side.outbox.ackThrough(acked)
    other.outbox ??= new Mailbox(received)
    other.outbox.ackThrough(received)
    side.cursor = Math.max(received, other.outbox.position.acked)
    side.attached = true
    if (forgotten) other.cut()
    else this.#passAck(other, other.outbox.position.acked)
    side.down.push({ kind: 'view', row: rowOf(side) })
  }

  #takeFrame(side: Side, other: Side, frame: Frame): void {
    const box = frame.type === FRAME_ACK ? other.outbox : side.outbox
    if (!box) return side.cut()
    if (frame.type === FRAME_ACK) {
      if (box.ackThrough(frame.seq) === 'raised') this.#passAck(other, frame.seq)
      return
    }
    const outcome = box.append({ seq: frame.seq, bytes: frame.bytes }, side.grant)
    // The two refusals are the channel's bugs: what it must never do, whatever happens.
    expect(['stored', 'duplicate']).toContain(outcome)
    if (outcome === 'duplicate') this.#passAck(side, box.position.acked)
  }

  #passAck(side: Side, seq: number): void {
    if (side.attached && seq > 0) side.down.push({ kind: 'frame', frame: decodeFrame(encodeAck(1, seq)) })
  }

  /** The relay passes a frame on that it holds for a side. */
  forward(name: SideName): boolean {
    const side = this[name]
    const stored = side.attached ? this.other(name).outbox?.read(side.cursor) : undefined
    if (!stored) return false
    side.cursor = stored.seq
    side.down.push({ kind: 'frame', frame: decodeFrame(stored.bytes) })
    return true
  }

  forget(): void {
    this.near.outbox = undefined
    this.far.outbox = undefined
  }

  grow(name: SideName): void {
    const side = this[name]
    side.grant = WINDOW_STEPS[Math.min(WINDOW_STEPS.indexOf(side.grant) + 1, WINDOW_STEPS.length - 1)]
    if (side.attached && side.outbox) side.down.push({ kind: 'view', row: rowOf(side) })
  }

  /** Lets everything happen that can, with nothing cut any more. */
  async drain(): Promise<void> {
    // A relay notices that it has forgotten when it is asked. If nobody has anything to ask, only a lost socket helps.
    if (!this.near.outbox || !this.far.outbox) for (const name of SIDES) this[name].cut()
    for (let idle = 0; idle < 3; ) {
      let busy = false
      for (const name of SIDES) {
        const side = this[name]
        side.connect()
        void side.read()
        await settled()
        side.process()
        await side.world.time.advance(10)
        while (this.takeUp(name) || this.forward(name) || side.takeDown()) busy = true
      }
      idle = busy ? 0 : idle + 1
    }
  }
}

function rowOf(side: Side): ChannelRow {
  const { received, acked } = side.outbox?.position ?? { received: 0, acked: 0 }
  return { channel: 1, received, acked, window: side.grant }
}

const side = fc.constantFrom(...SIDES)
const STEPS = ['takeUp', 'forward', 'takeDown', 'read', 'process', 'tick', 'connect'] as const
const command = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), side, cost: fc.integer(FRAME_COSTS) }) },
  { weight: 40, arbitrary: fc.record({ do: fc.constantFrom(...STEPS), side }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'grow' as const), side }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('forget' as const), side }) },
)

holds(
  'over any cuts and a relay that forgets, every frame arrives once and in order, and no window is ever exceeded',
  300,
  fc.array(command, { minLength: 50, maxLength: 400, size: 'max' }),
  async (commands) => {
    const model = new Model()
    for (const each of commands) {
      const target = model[each.side]
      switch (each.do) {
        case 'send':
          target.send(each.cost)
          break
        case 'takeUp':
          model.takeUp(each.side)
          break
        case 'forward':
          model.forward(each.side)
          break
        case 'takeDown':
          target.takeDown()
          break
        case 'read':
          void target.read()
          break
        case 'process':
          target.process()
          break
        case 'tick':
          await target.world.time.advance(4)
          break
        case 'connect':
          target.connect()
          break
        case 'cut':
          target.cut()
          break
        case 'grow':
          model.grow(each.side)
          break
        case 'forget':
          model.forget()
          break
        default:
          each satisfies never
      }
      // Promises get their turn now and then, not after every step.
      if (each.do === 'read') await Promise.resolve()
    }
    await model.drain()
    expect(model.far.got).toEqual(model.near.sent)
    expect(model.near.got).toEqual(model.far.sent)
    for (const name of SIDES) {
      expect(model[name].sendsDone).toBe(model[name].sent.length)
      expect(model[name].channel.resume().acked).toBe(model[name].sent.length)
      expect(model[name].world.time.outstanding).toBe(0)
    }
  },
)
