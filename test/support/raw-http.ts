import { connect } from 'node:net'
import { RawConnection } from '../conformance/raw.ts'

/** An HTTP answer as it came, header names and their order included. */
export interface RawAnswer {
  readonly status: number
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  /** Everything, for a failing test and for a comparison of bytes. */
  readonly bytes: Buffer
}

const EMPTY_CHUNKS = '0\r\n\r\n'

export function headerOf(answer: RawAnswer, name: string): string | undefined {
  return answer.headers.find(([each]) => each.toLowerCase() === name)?.[1]
}

/** The first whole answer in the bytes; undefined when there is none yet. `noBody`: it answers a HEAD. */
function answerIn(bytes: Buffer, noBody: boolean): RawAnswer | undefined {
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
  return { status, headers, body: bytes.toString('utf8', end + 4, bodyEnd), bytes: bytes.subarray(0, total) }
}

function isLength([name]: readonly [string, string]): boolean {
  return name.toLowerCase() === 'content-length'
}

/** A connection that takes any bytes for a request, one request at a time, and is opened anew when the relay closed it. */
export class HttpConnection {
  readonly #port: number
  #connection: RawConnection | undefined

  constructor(port: number) {
    this.#port = port
  }

  /** The final answer to one well-framed request; undefined when the connection ended without one. */
  async ask(request: Buffer, noBody = false): Promise<RawAnswer | undefined> {
    if (!this.#connection || this.#connection.isOver) {
      this.#connection = new RawConnection(connect(this.#port, '127.0.0.1').setNoDelay(true))
    }
    const connection = this.#connection
    connection.write(request)
    const answer = await finalAnswer(connection, noBody)
    if (answer === undefined || headerOf(answer, 'connection') === 'close') this.close()
    return answer
  }

  close(): void {
    this.#connection?.destroy()
    this.#connection = undefined
  }
}

/** Says something on a connection of its own, ends it, and resolves with every answer that came until the relay ended it too. */
export async function sayAlone(port: number, request: Buffer, noBody = false): Promise<RawAnswer[]> {
  const connection = new RawConnection(connect({ port, host: '127.0.0.1', allowHalfOpen: true }))
  connection.socket.on('end', () => connection.destroy()).end(request)
  const answers: RawAnswer[] = []
  for (;;) {
    const answer = await finalAnswer(connection, noBody)
    if (!answer) return answers
    answers.push(answer)
  }
}

/** The next answer that is not interim; undefined when the connection ended without one. */
async function finalAnswer(connection: RawConnection, noBody: boolean): Promise<RawAnswer | undefined> {
  for (;;) {
    const whole = (bytes: Buffer) => answerIn(bytes, noBody)?.bytes.length ?? 0
    const bytes = await connection.take(whole, 'an HTTP answer').catch((error: unknown) => {
      // The connection ended, and what it said before is no part of an answer.
      if (connection.isOver && answerIn(connection.rest, noBody) === undefined) return undefined
      throw error
    })
    const answer = bytes && answerIn(bytes, noBody)
    if (!answer || answer.status >= 200) return answer
  }
}
