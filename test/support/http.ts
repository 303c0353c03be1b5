import { connect, type Socket } from 'node:net'
import type { Problem } from '../../src/protocol/responses.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body as JSON; fails when it is none. */
  json<T = Record<string, unknown>>(): T
  /** The body as a problem; fails when the answer is none. */
  problem(): Problem
}

export interface CallOptions {
  readonly token?: string
  /** Sent as JSON. */
  readonly body?: unknown
  /** Sent as it is, with this media type. */
  readonly raw?: { readonly text: string; readonly type: string }
  readonly headers?: Readonly<Record<string, string>>
}

/** Calls a relay over HTTP. */
export async function call(url: string, method: string, path: string, options: CallOptions = {}): Promise<Answer> {
  const { token, body, raw } = options
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(raw ? { 'content-type': raw.type } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...options.headers,
    },
    body: raw?.text ?? (body === undefined ? null : JSON.stringify(body)),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: () => JSON.parse(text),
    problem: () => {
      const type = response.headers.get('content-type') ?? ''
      if (!/^application\/problem\+json(; charset=utf-8)?$/.test(type)) throw new Error(`no problem: ${text}`)
      return JSON.parse(text)
    },
  }
}

/** Says something to a TCP port that no HTTP client would, and resolves with everything that came back until the end. */
export function sayRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(port, '127.0.0.1', () => socket.write(text))
    let answer = ''
    socket.setEncoding('latin1')
    socket.on('data', (data) => {
      answer += data
    })
    socket.on('end', () => socket.end())
    socket.on('close', () => resolve(answer))
    socket.on('error', (error) => ('code' in error && error.code === 'ECONNRESET' ? resolve(answer) : reject(error)))
  })
}
