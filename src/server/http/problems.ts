import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type HttpErrorCode, isHttpErrorCode } from '../../protocol/errors.ts'
import { problemOf } from '../../protocol/problem.ts'
import type { Problem } from '../../protocol/responses.ts'
import { RelayError } from '../../relay/errors.ts'

/** Seconds a refused client should wait before it asks again, where nothing else is known. */
const RETRY_AFTER_SECONDS = 5

/** Answers whatever is refused with a problem. */
export function answerInProblems(app: FastifyInstance): void {
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((_request, reply) => answerProblem(reply, 'not_found'))
  app.server.on('checkExpectation', answerExpectation)
}

/** Fastify's error handler: every refusal becomes a problem, and what is not a refusal is logged and says nothing. */
export function answerError(
  error: FastifyError | RelayError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { code, detail } = codeOf(error)
  if (code === 'internal') request.log.error({ err: error }, 'a request failed')
  return answerProblem(reply, code, detail, 'retryAfterSeconds' in error ? error.retryAfterSeconds : undefined)
}

export function answerProblem(
  reply: FastifyReply,
  code: HttpErrorCode,
  detail?: string,
  retryAfterSeconds = RETRY_AFTER_SECONDS,
): FastifyReply {
  const problem = problemOf(code, detail)
  reply.refusal = code
  if (problem.status === 429 || problem.status === 503) reply.header('retry-after', String(retryAfterSeconds))
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer')
  // Hooks do not run for what the framework refuses before routing, such as a malformed path.
  reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
  return reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem))
}

/** Answers on the bare socket, and closes it: a refusal of Node's HTTP parser never reaches Fastify. */
export function answerParserError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  endWith(socket, problemOf(parserErrorCode(error.code)))
}

/** Answers an upgrade that ws refuses, with the version that it knows (RFC 6455, section 4.2.2). */
export function answerUpgradeError(error: Error, socket: Duplex): void {
  if (socket.writable) endWith(socket, problemOf('invalid_request', error.message), 'sec-websocket-version: 13\r\n')
}

function endWith(socket: Duplex, problem: Problem, headers = ''): void {
  const body = JSON.stringify(problem)
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${problem.status} Refused\r\nconnection: close\r\ncontent-type: application/problem+json\r\n${headers}` +
      `cache-control: no-store\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}

/** An Expect that is not 100-continue: Node would answer 417 with nothing in it. */
function answerExpectation({ socket }: IncomingMessage): void {
  endWith(socket, problemOf('invalid_request', 'no Expect but 100-continue is known'))
}

function parserErrorCode(code: string | undefined): HttpErrorCode {
  if (code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large'
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout'
  return 'invalid_request'
}

function codeOf(error: FastifyError | RelayError): { code: HttpErrorCode; detail?: string | undefined } {
  if (error instanceof RelayError) {
    return isHttpErrorCode(error.code) ? { code: error.code, detail: error.detail } : { code: 'internal' }
  }
  if (error.validationContext) return { code: 'invalid_request', detail: error.message }
  switch (error.statusCode) {
    case 400:
    case 414: // a path parameter longer than any of ours
      return { code: 'invalid_request' }
    case 404:
      return { code: 'not_found' }
    case 413:
      return { code: 'body_too_large' }
    case 415:
      return { code: 'unsupported_media_type' }
    default:
      return { code: 'internal' }
  }
}
