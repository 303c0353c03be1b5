import { EventEmitter } from 'node:events'
import type { View } from './client.ts'

/** State of a channel at a role: sent and taken, fetched, acked. */
interface Known {
  fetched: number
  acked: number
  readonly queue: (() => Promise<void>)[]
  busy: boolean
}

interface Refusal {
  readonly code: string
}

/**
 * PROTOCOL.md, section 5.9, in the form of a WebSocket: what a client says in frames goes out as calls, and what polls bring comes in
 * as frames. It does not attach again by itself.
 */
export class SocketOverHttp extends EventEmitter {
  readonly #sessionUrl: string
  readonly #channels = new Map<number, Known>()
  readonly #abort = new AbortController()
  #token = ''
  #version = ''
  #closed = false

  constructor(sessionUrl: string) {
    super()
    this.#sessionUrl = sessionUrl
    setImmediate(() => this.emit('open'))
  }

  send(frame: string | Uint8Array): void {
    if (typeof frame === 'string') return void this.#run(JSON.parse(frame))
    const bytes = Buffer.from(frame)
    const [type, channel, seq] = [bytes.readUInt8(0), bytes.readUInt16BE(2), bytes.readUInt32BE(4)]
    const path = `/channels/${channel}/frames/${seq}`
    void this.#inTurn(channel, async () => {
      const body = new Uint8Array(bytes.subarray(8))
      await this.#call(type === 1 ? 'PUT' : 'DELETE', path, type === 1 ? ['application/octet-stream', body] : undefined)
    })
  }

  close(): void {
    this.#end(1000, '')
  }

  terminate(): void {
    this.#end(1006, '')
  }

  async #run({ token, channels }: { token: string; channels: { channel: number; received: number; acked: number }[] }) {
    this.#token = token
    try {
      const body = ['application/json', JSON.stringify({ channels })] as const
      const first = await this.#call('PUT', '/attachment', body)
      for (const { channel, received, acked } of channels)
        this.#channels.set(channel, { fetched: received, acked, queue: [], busy: false })
      await this.#take(await first.json())
      while (!this.#closed) {
        const seen = [...this.#channels].map(([channel, { fetched, acked }]) => `${channel}.${fetched}.${acked}`)
        const poll = await this.#call('GET', `?version=${this.#version}&waitMs=20000&channels=${seen.join()}`)
        await this.#take(await poll.json())
      }
    } catch {
      // The attach was refused, or this was closed.
    }
  }

  async #take(
    view: View & { channels: readonly { channel: number; acked: number; available?: number }[] },
  ): Promise<void> {
    this.#version = view.version
    const rows = view.channels.map(({ available: _, ...row }) => row)
    this.emit('message', Buffer.from(JSON.stringify({ ...view, channels: rows })), false)
    for (const number of this.#channels.keys())
      if (!rows.some(({ channel }) => channel === number)) this.#channels.delete(number)
    for (const { channel, acked, available = 0 } of view.channels) {
      const known = this.#known(channel)
      if (acked > known.acked) {
        known.acked = acked
        this.emit('message', frameOf(2, channel, acked, Buffer.alloc(0)), true)
      }
      for (let seq = known.fetched + 1; seq <= available; seq++) {
        const frame = await this.#call('GET', `/channels/${channel}/frames/${seq}`)
        known.fetched = seq
        this.emit('message', frameOf(1, channel, seq, Buffer.from(await frame.arrayBuffer())), true)
      }
    }
    if (view.state !== 'closed') return
    if (view.reason === 'shutting_down') this.#end(1001, 'going_away')
    else this.#end(4410, 'session_gone')
  }

  #known(channel: number): Known {
    const known = this.#channels.get(channel) ?? { fetched: 0, acked: 0, queue: [], busy: false }
    this.#channels.set(channel, known)
    return known
  }

  /** Calls about one channel go out one after the other. */
  async #inTurn(channel: number, call: () => Promise<void>): Promise<void> {
    const known = this.#known(channel)
    known.queue.push(call)
    if (known.busy) return
    known.busy = true
    try {
      for (let next = known.queue.shift(); next; next = known.queue.shift()) await next()
    } catch {
      // The refusal has closed this.
    }
    known.busy = false
  }

  async #call(method: string, path: string, body?: readonly [type: string, content: BodyInit]): Promise<Response> {
    const answer = await fetch(this.#sessionUrl + path, {
      method,
      headers: { authorization: `Bearer ${this.#token}`, ...(body ? { 'content-type': body[0] } : {}) },
      ...(body ? { body: body[1] } : {}),
      signal: this.#abort.signal,
    })
    if (answer.ok) return answer
    const { code } = (await answer.json()) as Refusal
    // Frames of an ended channel are discarded, as on a WebSocket.
    if (code === 'receiver_gone' || code === 'session_gone') return new Response()
    this.#end(4000 + answer.status, code)
    throw new Error(code)
  }

  #end(code: number, reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.#abort.abort()
    setImmediate(() => this.emit('close', code, Buffer.from(reason)))
  }
}

function frameOf(type: number, channel: number, seq: number, ciphertext: Buffer): Buffer {
  const header = Buffer.alloc(8)
  header.writeUInt8(type, 0)
  header.writeUInt16BE(channel, 2)
  header.writeUInt32BE(seq, 4)
  return Buffer.concat([header, ciphertext])
}
