import type * as z from 'zod/mini'
import { type HttpErrorCode, isHttpErrorCode } from '../protocol/errors.ts'
import { CIPHERTEXT_TYPE, Code, SessionId, Token } from '../protocol/fields.ts'
import { problemOf } from '../protocol/problem.ts'
import {
  AttachRequest,
  ChannelInPath,
  CreateSessionRequest,
  DecisionRequest,
  FrameQuery,
  JoinRequest,
  SeqInPath,
  ViewQuery,
} from '../protocol/requests.ts'
import { parseJson } from '../protocol/text.ts'
import { zodOf } from '../protocol/zod.ts'
import { RelayError } from '../relay/errors.ts'
import type { FrameCall, Relay } from '../relay/relay.ts'

/** A call as it came. Each getter throws RelayError `invalid_request` or `unauthorized` for what is not there. */
class Call {
  readonly from: string
  readonly #path: Readonly<Record<string, string>>
  readonly #query: URLSearchParams
  readonly #init: RequestInit

  constructor(from: string, path: Readonly<Record<string, string>>, query: URLSearchParams, init: RequestInit) {
    this.from = from
    this.#path = path
    this.#query = query
    this.#init = init
  }

  get sessionId(): string {
    return read(zodOf(SessionId), this.#path.session)
  }

  get receiverCode(): string {
    return read(zodOf(Code), this.#path.receiver)
  }

  get token(): string {
    const token = /^Bearer (\S+)$/.exec(new Headers(this.#init.headers).get('authorization') ?? '')?.[1]
    if (!Token.safeParse(token).success) throw new RelayError('unauthorized')
    return token as string
  }

  get frame(): FrameCall {
    const channel = read(ChannelInPath, this.#path.channel)
    const seq = read(SeqInPath, this.#path.seq)
    const { sessionId, token } = this
    return { sessionId, channel, seq, token, attachment: this.query(FrameQuery).attachment }
  }

  get ciphertext(): Uint8Array {
    const { body } = this.#init
    if (!(body instanceof Uint8Array) || body.length === 0) throw new RelayError('invalid_request', 'no ciphertext')
    return new Uint8Array(body)
  }

  query<T>(schema: z.ZodMiniType<T>): T {
    return read(schema, Object.fromEntries(this.#query))
  }

  json<T>(schema: z.ZodMiniType<T>): T {
    return read(schema, parseJson(String(this.#init.body)))
  }
}

function read<T>(schema: z.ZodMiniType<T>, value: unknown): T {
  const { data, error } = schema.safeParse(value)
  if (error) throw new RelayError('invalid_request')
  return data as T
}

/** The commands of PROTOCOL.md, sections 3 and 5.9: each is one call of the domain. Nothing is answered with 204. */
const COMMANDS: Readonly<Record<string, (relay: Relay, call: Call) => Promise<unknown>>> = {
  'POST /v1/sessions': (relay, call) => relay.createSession(call.json(CreateSessionRequest), call.from),
  'POST /v1/receivers': (relay, call) => relay.join(call.json(JoinRequest), call.from),
  'GET /v1/sessions/:session': (relay, call) => {
    const { version, waitMs = 0, channels, attachment } = call.query(ViewQuery)
    return relay.view(call.sessionId, call.token, { version, waitMs, channels, attachment })
  },
  'DELETE /v1/sessions/:session': (relay, call) => relay.closeSession(call.sessionId, call.token),
  'PUT /v1/sessions/:session/attachment': (relay, call) =>
    relay.attach(call.sessionId, call.token, call.json(AttachRequest).channels),
  'DELETE /v1/sessions/:session/code': (relay, call) => relay.retireCode(call.sessionId, call.token),
  'PUT /v1/sessions/:session/receivers/:receiver/decision': (relay, call) =>
    relay.decide(call.sessionId, call.token, call.receiverCode, call.json(DecisionRequest)),
  'DELETE /v1/sessions/:session/receivers/:receiver': (relay, call) =>
    relay.endReceiver(call.sessionId, call.token, call.receiverCode),
  'PUT /v1/sessions/:session/channels/:channel/frames/:seq': (relay, call) =>
    relay.putFrame(call.frame, call.ciphertext),
  'GET /v1/sessions/:session/channels/:channel/frames/:seq': (relay, call) => relay.fetchFrame(call.frame),
  'DELETE /v1/sessions/:session/channels/:channel/frames/:seq': (relay, call) => relay.ackFrames(call.frame),
}

/** Answers a call from a client address as a relay answers it over HTTP, by its domain and without a network. */
export async function answerCall(relay: Relay, from: string, url: string, init: RequestInit): Promise<Response> {
  const { pathname, searchParams } = new URL(url)
  try {
    for (const [command, run] of Object.entries(COMMANDS)) {
      const path = matched(command, `${init.method} ${pathname}`)
      if (path) return respond(await run(relay, new Call(from, path, searchParams, init)), init.method === 'POST')
    }
    return refuse('not_found')
  } catch (error) {
    if (!(error instanceof RelayError && isHttpErrorCode(error.code))) throw error
    return refuse(error.code, error.retryAfterSeconds)
  }
}

/** Answers with a refusal. */
export function refuse(code: HttpErrorCode, retryAfterSeconds?: number): Response {
  const problem = problemOf(code)
  const headers = {
    'content-type': 'application/problem+json',
    ...(retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) }),
  }
  return new Response(JSON.stringify(problem), { status: problem.status, headers })
}

function respond(answer: unknown, isNew: boolean): Response {
  if (answer === undefined) return new Response(null, { status: 204 })
  if (!(answer instanceof Uint8Array)) return Response.json(answer, { status: isNew ? 201 : 200 })
  return new Response(answer as Uint8Array<ArrayBuffer>, { headers: { 'content-type': CIPHERTEXT_TYPE } })
}

/** The parts of a path by name, or undefined when it is another command's. */
function matched(command: string, asked: string): Record<string, string> | undefined {
  const pattern = command.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')
  const match = new RegExp(`^${pattern}$`).exec(asked)
  return match ? { ...match.groups } : undefined
}
