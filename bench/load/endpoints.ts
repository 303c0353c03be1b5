import type { AttachedSocket } from './relay-client.ts'
import { costOf, RelayFrame } from './relay-client.ts'
import { HIGH_WATER_BYTES, type Wire } from './wire.ts'

/** An end of a way through a server: messages of one size go out and are counted when they come. */
export interface Endpoint {
  canSend(): boolean
  /** Sends one message; small ones wait for `flush`. */
  send(): void
  flush(): void
  onWritable: () => void
  onMessage: () => void
  onEnd: (reason: string) => void
}

export interface Pair {
  readonly near: Endpoint
  readonly far: Endpoint
  close(): Promise<void>
}

/** Messages below this are gathered and go out together, as they do from any client that has several to send. */
const GATHER_BELOW_BYTES = 4096
const GATHER_BYTES = 64 * 1024

/** Copies of one small message, written many at a time. */
class Gatherer {
  readonly #wire: Wire
  readonly #template: Buffer
  #batch = Buffer.allocUnsafeSlow(GATHER_BYTES)
  /** Bytes before this are written and must not change. */
  #written = 0
  #filled = 0

  constructor(wire: Wire, template: Buffer) {
    this.#wire = wire
    this.#template = template
  }

  /** Adds a copy. Where it lies, until the next call, so that it can be numbered. */
  add(): { batch: Buffer; at: number } {
    if (this.#filled + this.#template.length > GATHER_BYTES) {
      this.flush()
      this.#batch = Buffer.allocUnsafeSlow(GATHER_BYTES)
      this.#written = this.#filled = 0
    }
    const at = this.#filled
    this.#template.copy(this.#batch, at)
    this.#filled += this.#template.length
    return { batch: this.#batch, at }
  }

  flush(): void {
    if (this.#filled === this.#written) return
    this.#wire.write(this.#batch.subarray(this.#written, this.#filled))
    this.#written = this.#filled
  }
}

/** A role on the relay: bound by the window, numbered, acked, as the protocol wants it. */
export class RelayEndpoint implements Endpoint {
  onWritable: () => void = () => {}
  onMessage: () => void = () => {}
  onEnd: (reason: string) => void = () => {}
  readonly #socket: AttachedSocket
  readonly #channel: number
  readonly #messageBytes: number
  readonly #gatherer: Gatherer | undefined
  readonly #template: RelayFrame
  #window: number
  #sent = 0
  #acked = 0
  /** Frames to use again, and those that are under way, in order: a frame is free when it was acked. */
  readonly #free: RelayFrame[] = []
  readonly #underWay: RelayFrame[] = []

  constructor(socket: AttachedSocket, channel: number, messageBytes: number) {
    this.#socket = socket
    this.#channel = channel
    this.#messageBytes = messageBytes
    this.#window = socket.windowOf(channel)
    this.#template = new RelayFrame(messageBytes)
    if (messageBytes < GATHER_BELOW_BYTES) this.#gatherer = new Gatherer(socket.socket.wire, this.#template.bytes)
    else this.#free.push(this.#template)
    socket.onView = () => {
      this.#window = socket.windowOf(channel)
      this.onWritable()
    }
    socket.onData = () => this.onMessage()
    socket.onAck = (_channel, seq) => this.#takeAck(seq)
    socket.onEnd = (reason) => this.onEnd(reason)
  }

  canSend(): boolean {
    return (this.#sent - this.#acked + 1) * costOf(this.#messageBytes) <= this.#window
  }

  send(): void {
    this.#sent++
    if (this.#gatherer) {
      const { batch, at } = this.#gatherer.add()
      this.#template.numberIn(batch, at, this.#channel, this.#sent)
      return
    }
    const frame = this.#free.pop() ?? new RelayFrame(this.#messageBytes)
    this.#underWay.push(frame)
    this.#socket.sendData(this.#channel, this.#sent, frame)
  }

  flush(): void {
    this.#gatherer?.flush()
  }

  #takeAck(seq: number): void {
    if (!this.#gatherer) for (let n = this.#acked; n < seq; n++) this.#free.push(this.#underWay.shift() as RelayFrame)
    this.#acked = seq
    this.onWritable()
  }
}

/** How much may be under way where the server between has no back-pressure: what the relay's window is. */
const CREDIT_BYTES = 2_098_176

/** A credit that two ends in one process share in place of a window. */
export class Credit {
  readonly messageBytes: number
  underWay = 0
  onFreed: () => void = () => {}

  constructor(messageBytes: number) {
    this.messageBytes = messageBytes
  }

  get available(): boolean {
    return (this.underWay + 1) * this.messageBytes <= CREDIT_BYTES
  }
}

/** Any other way: the same bytes again and again, as fast as the connection takes them. */
export class StreamEndpoint implements Endpoint {
  onWritable: () => void = () => {}
  onMessage: () => void = () => {}
  onEnd: (reason: string) => void = () => {}
  readonly #out: Wire
  readonly #template: Buffer
  readonly #gatherer: Gatherer | undefined
  readonly #credit: { readonly out?: Credit; readonly in?: Credit }

  /** `template` is one message as it goes out on `out`; what comes in is told by `arrived`. */
  constructor(out: Wire, template: Buffer, credit: { readonly out?: Credit; readonly in?: Credit } = {}) {
    this.#out = out
    this.#template = template
    this.#credit = credit
    if (template.length < GATHER_BELOW_BYTES) this.#gatherer = new Gatherer(out, template)
    out.onDrain = () => this.onWritable()
    if (credit.out) credit.out.onFreed = () => this.onWritable()
  }

  arrived(): void {
    if (this.#credit.in) {
      this.#credit.in.underWay--
      this.#credit.in.onFreed()
    }
    this.onMessage()
  }

  canSend(): boolean {
    return this.#out.backlog < HIGH_WATER_BYTES && (this.#credit.out?.available ?? true)
  }

  send(): void {
    if (this.#credit.out) this.#credit.out.underWay++
    if (this.#gatherer) this.#gatherer.add()
    else this.#out.write(this.#template)
  }

  flush(): void {
    this.#gatherer?.flush()
  }
}
