import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { shown } from '../../node/shown.ts'
import { SUBPROTOCOL } from '../../protocol/view.ts'

/** How long one answer may take, in milliseconds, and how much of it is read. */
const PATIENCE_MS = 15_000
const READ_MAX_BYTES = 65_536

/** An answer to a call, whoever gave it. */
export interface Answer {
  readonly status: number
  readonly header: (name: string) => string
  /** The body as JSON, undefined for what is none. */
  readonly json: Readonly<Record<string, unknown>> | undefined
}

/** Asks for a path of a relay. Rejects when there is no answer. Follows no redirect. */
export async function ask(
  url: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Readonly<Record<string, string>> } = {},
  body?: unknown,
): Promise<Answer> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const sent = body === undefined ? {} : { body: JSON.stringify(body) }
  const answer = await fetch(url, { method, headers, signal, redirect: 'manual', ...sent })
  let text = ''
  const decoder = new TextDecoder()
  for await (const piece of answer.body ?? []) {
    text += decoder.decode(piece, { stream: true })
    if (text.length > READ_MAX_BYTES) break
  }
  return { status: answer.status, header: (name) => answer.headers.get(name) ?? '', json: objectIn(text) }
}

/** Returns the code of an error that is a relay's own, as it may be shown, and undefined for any other answer. */
export function codeIn({ json }: Answer): string | undefined {
  return json?.type === 'about:blank' && typeof json.code === 'string' ? shown(json.code.slice(0, 80)) : undefined
}

/** Asks for a WebSocket of a session, as a page of an origin does. Resolves with the status, 101 for one that opened. */
export function upgrade(relay: string, sessionId: string, origin?: string): Promise<number> {
  const url = new URL(`${relay}/v1/sessions/${sessionId}/socket`)
  return new Promise((resolve, reject) => {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      'sec-websocket-protocol': SUBPROTOCOL,
      ...(origin === undefined ? {} : { origin }),
    }
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, { headers, signal })
    const done = ({ statusCode = 0 }: IncomingMessage) => {
      request.destroy()
      resolve(statusCode)
    }
    request
      .on('upgrade', (answer, socket) => {
        socket.destroy()
        done(answer)
      })
      .on('response', done)
      .on('error', reject)
      .end()
  })
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
