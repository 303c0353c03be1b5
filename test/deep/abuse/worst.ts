import { randomBytes } from 'node:crypto'
import { Agent, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { BINARY, TEXT, wsFrame } from '../../conformance/raw.ts'

/** A client address that does its worst with the API, all of it at once. */

export interface Worst {
  /** How often each kind was tried, and with which status it was answered; `-` is none. */
  readonly answers: ReadonlyMap<string, ReadonlyMap<string, number>>
  stop(): Promise<void>
}

/** Lanes of each kind, one request after the other on each. */
const LANES = 2
/** How soon a connection that ended is opened again: the system's own queue is not what is tested. */
const REOPEN_MS = 200
const IDLE_CONNECTIONS = 200
const SILENT_SOCKETS = 80
const HELD_POLLS = 80
const BIG_BODY = Buffer.alloc(262_144, 'x')
const JSON_TYPE = { 'content-type': 'application/json' }

const word = () => randomBytes(9).toString('base64url')
const publicKey = () => randomBytes(32).toString('base64url')

interface Answered {
  readonly status: string
  readonly body: Record<string, string>
}

export async function worstOf({ port, localAddress }: { port: number; localAddress: string }): Promise<Worst> {
  const attacker = new Agent({ keepAlive: true, localAddress } as object)
  const answers = new Map<string, Map<string, number>>()
  const sockets = new Set<Socket>()
  let over = false

  const count = (kind: string, status: string) => {
    const of = answers.get(kind) ?? new Map<string, number>()
    answers.set(kind, of.set(status, (of.get(status) ?? 0) + 1))
  }
  const ask = (
    kind: string,
    method: string,
    path: string,
    headers: object,
    body?: Buffer | string,
  ): Promise<Answered> =>
    new Promise((resolve) => {
      const done = (status: string, text = '') => {
        count(kind, status)
        let parsed: Record<string, string> = {}
        try {
          parsed = JSON.parse(text)
        } catch {}
        resolve({ status, body: parsed })
      }
      const asking = request(
        { agent: attacker, port, host: '127.0.0.1', method, path, headers: { ...headers } },
        (answer) => {
          let text = ''
          answer.setEncoding('utf8').on('data', (data: string) => {
            text += data
          })
          answer.on('end', () => done(String(answer.statusCode), text))
          answer.on('error', () => done('-'))
        },
      )
      asking.on('error', () => done('-'))
      asking.end(body)
    })
  const lanes = (kind: string, work: () => Promise<unknown>) =>
    Array.from({ length: LANES }, async () => {
      while (!over) {
        await work()
        // Other kinds have their turn.
        await new Promise((resolve) => setImmediate(resolve))
      }
      return kind
    })
  const create = async () => {
    const senderCode = word()
    const asked = { clientId: word(), senderCode, maxReceivers: 8, ttlSeconds: 3_600 }
    const { body } = await ask('create', 'POST', '/v1/sessions', JSON_TYPE, JSON.stringify(asked))
    return { senderCode, ...body } as { senderCode: string; sessionId?: string; token?: string }
  }
  const join = (senderCode: string, receiverCode: string) => {
    const asked = { senderCode, receiverCode, publicKey: publicKey() }
    return ask('join', 'POST', '/v1/receivers', JSON_TYPE, JSON.stringify(asked))
  }
  /** Connections that are kept, whatever becomes of them; each that ends is replaced. */
  const kept = (kind: string, wanted: number, first: () => Buffer | undefined) => {
    for (let i = 0; i < wanted; i++) {
      const open = () => {
        if (over) return
        const socket = connect({ port, host: '127.0.0.1', localAddress })
        sockets.add(socket)
        socket.on('error', () => {})
        socket.once('connect', () => {
          const bytes = first()
          if (bytes) socket.write(bytes)
        })
        socket.once('data', (data) => count(kind, data.toString('latin1', 9, 12)))
        socket.resume()
        socket.once('close', () => {
          sockets.delete(socket)
          setTimeout(open, REOPEN_MS).unref()
        })
      }
      open()
    }
  }

  const own = await create()
  const members: { sessionId: string; token: string }[] = []
  const work = [
    ...lanes('create', create),
    ...lanes('approve', async () => {
      const { senderCode, sessionId, token } = await create()
      if (sessionId === undefined || token === undefined) return
      members.push({ sessionId, token })
      for (let i = 0; i < 8 && !over; i++) {
        const receiverCode = word()
        const joined = await join(senderCode, receiverCode)
        const path = `/v1/sessions/${sessionId}/receivers/${receiverCode}/decision`
        const headers = { ...JSON_TYPE, authorization: `Bearer ${token}` }
        await ask('approve', 'PUT', path, headers, '{"decision":"approved"}')
        if (joined.body.token) members.push({ sessionId, token: joined.body.token })
      }
    }),
    ...lanes('guess', () => join(word(), word())),
    ...lanes('big body', () =>
      ask('big body', 'PUT', frame(), { 'content-type': 'application/octet-stream' }, BIG_BODY),
    ),
    ...lanes('big command', () => ask('big command', 'POST', '/v1/sessions', JSON_TYPE, BIG_BODY)),
    ...lanes('view', () => {
      const member = members.at(-1)
      const headers = { authorization: `Bearer ${member?.token ?? 'A'.repeat(43)}` }
      return ask('view', 'GET', `/v1/sessions/${member?.sessionId ?? 'A'.repeat(22)}`, headers)
    }),
  ]
  kept('silent socket', SILENT_SOCKETS, () => upgrade(members.at(-1)?.sessionId))
  kept('big first message', SILENT_SOCKETS, () =>
    Buffer.concat([
      upgrade(members.at(-1)?.sessionId),
      wsFrame(TEXT, Buffer.alloc(200_000, 'x')),
      wsFrame(BINARY, BIG_BODY),
    ]),
  )
  kept('held poll', HELD_POLLS, () => {
    const path = `/v1/sessions/${own.sessionId}?waitMs=25000&version=1`
    return Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${own.token}\r\n\r\n`)
  })
  kept('body that drips', 20, () =>
    Buffer.from(
      `PUT ${frame()} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/octet-stream\r\nContent-Length: 262144\r\n\r\nx`,
    ),
  )

  kept('idle connection', IDLE_CONNECTIONS, () => undefined)

  function upgrade(sessionId = 'A'.repeat(22)): Buffer {
    return Buffer.from(
      `GET /v1/sessions/${sessionId}/socket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pairlay.v1\r\n\r\n',
    )
  }

  return {
    answers,
    stop: async () => {
      over = true
      for (const socket of sockets) socket.destroy()
      attacker.destroy()
      await Promise.all(work)
    },
  }
}

function frame(): string {
  return `/v1/sessions/${randomBytes(16).toString('base64url')}/channels/1/frames/1`
}
