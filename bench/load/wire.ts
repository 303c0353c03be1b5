import { createServer, connect as netConnect, type Server, Socket } from 'node:net'

/** Raw TCP as cheap as Node has it: every connection of the process reads into one buffer, and nothing is allocated per read. */

/** Read at once at most. Larger than any frame, so that a busy connection costs few system calls. */
const READ_BYTES = 512 * 1024
const shared = Buffer.allocUnsafeSlow(READ_BYTES)

/** The `writableLength` from which on a sender without a window waits for the drain. */
export const HIGH_WATER_BYTES = 1024 * 1024

export interface Address {
  readonly host: string
  readonly port: number
}

/** Each device of a benchmark has its own source address, as devices have. It also keeps ephemeral ports from running out. */
let sourceBlock = 1
let nextSource = 0

/** Gives this process its own part of 127.0.0.0/8 to connect from. */
export function useSourceBlock(block: number): void {
  sourceBlock = 1 + (block % 250)
}

export function freshSource(): string {
  nextSource = (nextSource + 1) % (250 * 250)
  return `127.${sourceBlock}.${Math.floor(nextSource / 250)}.${1 + (nextSource % 250)}`
}

export class Wire {
  /** Bytes came: the first `length` of `bytes`, which belong to the caller only until it returns. */
  onBytes: (bytes: Buffer, length: number) => void = () => {}
  /** Everything written has gone to the system. */
  onDrain: () => void = () => {}
  onClose: (error: Error | undefined) => void = () => {}
  readonly #socket: Socket
  #error: Error | undefined

  private constructor(make: (onread: OnRead) => Socket) {
    this.#socket = make({
      buffer: shared,
      callback: (length) => {
        this.onBytes(shared, length)
        return true
      },
    })
    this.#socket.setNoDelay(true)
    this.#socket.on('drain', () => this.onDrain())
    this.#socket.on('error', (error) => {
      this.#error = error
    })
    this.#socket.on('close', () => this.onClose(this.#error))
  }

  static connect({ host, port }: Address, source = freshSource()): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const wire = new Wire((onread) => netConnect({ host, port, localAddress: source, onread }))
      wire.onClose = (error) => reject(error ?? new Error('the connection was closed before it was open'))
      wire.#socket.once('connect', () => {
        wire.onClose = () => {}
        resolve(wire)
      })
    })
  }

  /** Listens, and gives each connection as a Wire. A proxy's far end is here. */
  static listen(onWire: (wire: Wire) => void): Promise<Listener> {
    const server = createServer({ pauseOnConnect: true }, (accepted) => {
      // Sockets that a server accepts cannot be told where to read to; their handle can be given to one that can.
      const withHandle = accepted as unknown as { _handle: unknown }
      const handle = withHandle._handle
      withHandle._handle = null
      onWire(new Wire((onread) => new Socket({ handle, onread, readable: true, writable: true } as object)))
    })
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        resolve({ server, port: typeof address === 'object' && address ? address.port : 0 })
      })
    })
  }

  write(bytes: Buffer | string): void {
    this.#socket.write(bytes)
  }

  /** Bytes written and not yet with the system. */
  get backlog(): number {
    return this.#socket.writableLength
  }

  get congested(): boolean {
    return this.#socket.writableLength >= HIGH_WATER_BYTES
  }

  /** Reads nothing more: a receiver that has stopped. */
  stopReading(): void {
    this.#socket.pause()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

export interface Listener {
  readonly server: Server
  readonly port: number
}

interface OnRead {
  readonly buffer: Uint8Array
  readonly callback: (length: number) => boolean
}

/** Resolves with what came before `end`. Everything after it goes to `then`, from the very same read on. */
export function readUntil(wire: Wire, end: string, then: (bytes: Buffer, length: number) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    wire.onClose = (error) => reject(error ?? new Error(`the connection ended after ${JSON.stringify(text)}`))
    wire.onBytes = (bytes, length) => {
      text += bytes.toString('latin1', 0, length)
      const at = text.indexOf(end)
      if (at === -1) return
      const rest = Buffer.from(text.slice(at + end.length), 'latin1')
      wire.onClose = () => {}
      wire.onBytes = then
      if (rest.length > 0) then(rest, rest.length)
      resolve(text.slice(0, at))
    }
  })
}
