import { connect } from 'node:net'
import {
  CLOSE,
  headEnd,
  PING,
  PONG,
  RawConnection,
  type ServerFrame,
  upgradeRequest,
  wsFrame,
} from '../conformance/raw.ts'

/** How a connection ended: by a close frame (its code and reason, 1005 for none) or without one. */
export type Ending = { readonly code: number; readonly reason: string } | 'cut'

/** A WebSocket client that frames as it is told, right or wrong, and keeps what the relay sends. */
export class RawWebSocket extends RawConnection {
  readonly frames: ServerFrame[] = []
  /** The status of the answer to the upgrade, once it has come. */
  status: number | undefined
  ending: Ending | undefined
  readonly ended: Promise<Ending>
  #pongs = 0
  #wake: (() => void) | undefined

  /** Asks for the upgrade and says `first` at once, without waiting for the answer, as far as a network allows. */
  constructor(port: number, sessionId: string, first: Uint8Array = Buffer.alloc(0)) {
    super(connect(port, '127.0.0.1').setNoDelay(true))
    this.write(Buffer.concat([Buffer.from(upgradeRequest(`/v1/sessions/${sessionId}/socket`)), first]))
    this.ended = this.#read().then((ending) => {
      this.ending = ending
      this.destroy()
      this.#wake?.()
      return ending
    })
  }

  /** Resolves when the relay has read everything said so far, and has done what follows at once; or when the socket ended. */
  async settled(): Promise<void> {
    // Its answer to the second ping comes a turn after it took in what was said before the first.
    for (let round = 0; round < 2 && !this.ending; round++) {
      const pongs = ++this.#pongs
      this.write(wsFrame(PING, `settled ${pongs}`))
      await this.until(() => this.pongs.includes(`settled ${pongs}`))
    }
  }

  /** The payloads of the pongs, in order. */
  get pongs(): string[] {
    return this.frames.filter(({ opcode }) => opcode === PONG).map(({ payload }) => payload.toString())
  }

  /** Resolves when it holds, or when the connection has ended. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds() && !this.ending) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    // Bytes that came with it are read in this turn.
    await new Promise((resolve) => setImmediate(resolve))
  }

  /** Ends the connection in the direction of the relay. */
  finish(): void {
    this.socket.end()
  }

  async #read(): Promise<Ending> {
    const forever = Number.POSITIVE_INFINITY
    try {
      const head = await this.take(headEnd, 'an answer', forever)
      this.status = Number(head.toString('latin1', 9, 12))
      this.#wake?.()
      for (;;) {
        const frame = await this.frame(forever)
        this.frames.push(frame)
        this.#wake?.()
        const { opcode, payload } = frame
        if (opcode !== CLOSE) continue
        return { code: payload.length >= 2 ? payload.readUInt16BE(0) : 1005, reason: payload.toString('utf8', 2) }
      }
    } catch {
      return 'cut'
    }
  }
}
