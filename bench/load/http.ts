import { type Address, Wire } from './wire.ts'

export interface Answer {
  readonly status: number
  /** The JSON body, or undefined when there is none. */
  readonly body: unknown
}

/** A kept-alive connection with one request at a time, by hand: a tenth of the cost of `fetch`. */
export class HttpWire {
  readonly #wire: Wire
  readonly #host: string
  #text = ''
  #waiting: { resolve: (answer: Answer) => void; reject: (error: Error) => void } | undefined

  private constructor(wire: Wire, { host, port }: Address) {
    this.#wire = wire
    this.#host = `${host}:${port}`
    wire.onBytes = (bytes, length) => this.#take(bytes.toString('latin1', 0, length))
    wire.onClose = (error) => this.#waiting?.reject(error ?? new Error('the connection ended before the answer'))
  }

  static async connect(address: Address, source?: string): Promise<HttpWire> {
    return new HttpWire(await Wire.connect(address, source), address)
  }

  request(method: string, path: string, { token, body }: { token?: string; body?: unknown } = {}): Promise<Answer> {
    const json = body === undefined ? '' : JSON.stringify(body)
    const authorization = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`
    const content =
      body === undefined ? '' : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(json)}\r\n`
    this.#wire.write(`${method} ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${authorization}${content}\r\n${json}`)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }

  close(): void {
    this.#wire.onClose = () => {}
    this.#wire.end()
  }

  #take(text: string): void {
    this.#text += text
    const end = this.#text.indexOf('\r\n\r\n')
    if (end === -1) return
    const head = this.#text.slice(0, end)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    if (this.#text.length < end + 4 + length) return
    const body = this.#text.slice(end + 4, end + 4 + length)
    this.#text = this.#text.slice(end + 4 + length)
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.resolve({
      status: Number(head.slice(9, 12)),
      body: length === 0 ? undefined : JSON.parse(Buffer.from(body, 'latin1').toString()),
    })
  }
}
