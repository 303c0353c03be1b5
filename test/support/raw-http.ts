import { connect, type Socket } from 'node:net'

/** An HTTP answer as it came, header names and their order included. */
export interface RawAnswer {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  /** Everything, for a failing test and for a comparison of bytes. */
  readonly bytes: Buffer
}

/** Longer than any time-out of the relay's HTTP. */
const DEADLINE_MS = 25_000
const EMPTY_CHUNKS = '0\r\n\r\n'

export function headerOf(answer: RawAnswer, name: string): string | undefined {
  return answer.headers.find(([each]) => each.toLowerCase() === name)?.[1]
}

/** Cuts the first whole answer off the bytes; undefined when there is none yet. `noBody`: it answers a HEAD. */
export function cutAnswer(bytes: Buffer, noBody: boolean): { answer: RawAnswer; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [line, ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const match = /^HTTP\/1\.1 ([1-5]\d\d) /.exec(line)
  if (!match) throw new Error(`no HTTP answer: ${bytes.toString('latin1', 0, 300)}`)
  const status = Number(match[1])
  const headers = lines.map((each) => {
    const colon = each.indexOf(':')
    return [each.slice(0, colon), each.slice(colon + 1).trim()] as const
  })
  const length = noBody || status === 204 || status < 200 ? 0 : Number(headers.find(isLength)?.[1] ?? 0)
  // Node's own refusals of what is not HTTP are chunked, and empty.
  const chunked = headers.some(([name, value]) => name.toLowerCase() === 'transfer-encoding' && value === 'chunked')
  const bodyEnd = end + 4 + length
  const total = bodyEnd + (chunked && !noBody ? EMPTY_CHUNKS.length : 0)
  if (bytes.length < total) return undefined
  if (total > bodyEnd && bytes.toString('latin1', bodyEnd, total) !== EMPTY_CHUNKS) throw new Error('chunks')
  const answer = { status, headers, body: bytes.toString('utf8', end + 4, bodyEnd), bytes: bytes.subarray(0, total) }
  return { answer, rest: bytes.subarray(total) }
}

function isLength([name]: readonly [string, string]): boolean {
  return name.toLowerCase() === 'content-length'
}

/** A connection that takes any bytes for a request, one request at a time, and is opened anew when the relay closed it. */
export class HttpConnection {
  readonly #port: number
  #socket: Socket | undefined
  #bytes: Buffer = Buffer.alloc(0)
  #look: () => void = () => {}
  #ended = false

  constructor(port: number) {
    this.#port = port
  }

  /** The final answer to one well-framed request; undefined when the connection ended without one. */
  async ask(request: Buffer, noBody = false): Promise<RawAnswer | undefined> {
    const socket = this.#open()
    socket.write(request)
    for (;;) {
      const cut = cutAnswer(this.#bytes, noBody)
      if (cut) {
        this.#bytes = cut.rest
        if (cut.answer.status >= 200) {
          if (headerOf(cut.answer, 'connection') === 'close') this.close()
          return cut.answer
        }
      } else if (this.#ended) {
        this.#socket = undefined
        return undefined
      } else {
        await new Promise<void>((resolve, reject) => {
          const late = setTimeout(() => reject(new Error(`no answer in ${DEADLINE_MS} ms`)), DEADLINE_MS)
          this.#look = () => {
            clearTimeout(late)
            resolve()
          }
        })
      }
    }
  }

  close(): void {
    this.#socket?.destroy()
    this.#socket = undefined
  }

  #open(): Socket {
    if (this.#socket && !this.#ended) return this.#socket
    const socket = connect(this.#port, '127.0.0.1')
    this.#socket = socket
    this.#bytes = Buffer.alloc(0)
    this.#ended = false
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (bytes: Buffer) => {
      if (this.#socket !== socket) return
      this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes])
      this.#look()
    })
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#ended = true
      this.#look()
    })
    return socket
  }
}

/** Says something on a connection of its own, ends it, and resolves with every answer that came until the relay ended it too. */
export function sayAlone(
  port: number,
  request: Buffer,
  noBody = false,
  deadlineMs = DEADLINE_MS,
): Promise<RawAnswer[]> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => socket.end(request))
    let bytes: Buffer = Buffer.alloc(0)
    const late = setTimeout(() => {
      reject(new Error(`still open after ${deadlineMs} ms, having said ${bytes.toString('latin1')}`))
      socket.destroy()
    }, deadlineMs)
    socket.on('data', (more: Buffer) => {
      bytes = Buffer.concat([bytes, more])
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(late)
      const answers: RawAnswer[] = []
      try {
        for (let cut = cutAnswer(bytes, noBody); cut; cut = cutAnswer(cut.rest, noBody)) {
          if (cut.answer.status >= 200) answers.push(cut.answer)
        }
        resolve(answers)
      } catch (error) {
        reject(new Error(`${error} in ${bytes.toString('latin1')} to ${request.toString('latin1', 0, 1_000)}`))
      }
    })
  })
}
