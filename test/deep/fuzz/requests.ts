import type { Random } from '../../support/random.ts'
import { METHODS, ODD_HEADERS, QUERIES, SEGMENTS, TYPES } from './oddities.ts'
import { mutatedJson, mutatedValue, weirdText } from './values.ts'

/** HTTP requests made of an OpenAPI document, and then made worse. */

export interface JsonSchema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly oneOf?: readonly JsonSchema[]
  readonly enum?: readonly string[]
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
}

interface OpenApiOperation {
  readonly parameters?: readonly { readonly in: string; readonly name: string; readonly schema: JsonSchema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: JsonSchema }>> }
  readonly responses: Readonly<Record<string, unknown>>
  readonly security?: readonly unknown[]
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>
}

/** A method of a path. */
export interface Operation extends OpenApiOperation {
  readonly method: string
  readonly path: string
}

export function operationsOf({ paths }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )
}

const OCTETS = 'application/octet-stream'

/** State in the relay that requests can meet, by the names of fields and parameters. */
export type Known = Readonly<Record<string, readonly string[]>>

/** A request before it is bytes. `alone`: its framing is in doubt, so it gets a connection of its own. */
export interface Draft {
  method: string
  target: string
  version: string
  headers: [string, string][]
  body: Buffer
  alone: boolean
}

/** A request as the document has it. */
export function draftOf(random: Random, operation: Operation, known: Known): Draft {
  const { method, path, parameters = [], requestBody } = operation
  let target = path
  const query: string[] = []
  for (const { in: place, name, schema } of parameters) {
    const value = String(sampleOf(random, schema, name, known))
    if (place === 'path') target = target.replace(`{${name}}`, value)
    // A poll that waits would hold its connection for up to 25 s.
    else if (name !== 'waitMs') query.push(`${name}=${encodeURIComponent(value)}`)
  }
  if (query.length > 0 && random.chance(0.5)) target += `?${query.join('&')}`
  const headers: [string, string][] = [['Host', '127.0.0.1']]
  if (operation.security) headers.push(['Authorization', `Bearer ${random.pick(known.token ?? ['none'])}`])
  if (requestBody?.content[OCTETS]) {
    headers.push(['Content-Type', OCTETS])
    const body = random.bytes(random.pick([1, 100, 2_048, 2_049, 5_000]))
    return { method, target, version: 'HTTP/1.1', headers, body, alone: false }
  }
  const schema = requestBody?.content['application/json']?.schema
  if (!schema) return { method, target, version: 'HTTP/1.1', headers, body: Buffer.alloc(0), alone: false }
  headers.push(['Content-Type', 'application/json'])
  const body = Buffer.from(JSON.stringify(sampleOf(random, schema, '', known)))
  return { method, target, version: 'HTTP/1.1', headers, body, alone: false }
}

function sampleOf(random: Random, schema: JsonSchema, name: string, known: Known): unknown {
  const there = known[name]
  if (there && there.length > 0 && random.chance(0.8)) return random.pick(there)
  if (schema.oneOf) return sampleOf(random, random.pick(schema.oneOf), name, known)
  if (schema.enum) return random.pick(schema.enum)
  const { minLength = 0, maxLength = 64, minimum = 0, maximum = 1_000 } = schema
  switch (schema.type) {
    case 'object': {
      const wanted = Object.entries(schema.properties ?? {}).filter(
        ([key]) => schema.required?.includes(key) || random.chance(0.5),
      )
      return Object.fromEntries(wanted.map(([key, each]) => [key, sampleOf(random, each, key, known)]))
    }
    case 'string':
      return random.word(random.between(minLength, maxLength))
    case 'integer':
      return random.between(minimum, maximum)
    default:
      return random.word(8)
  }
}

type Mutation = (random: Random, draft: Draft) => void

/** Well-framed, whatever they say. */
const FRAMED: readonly Mutation[] = [
  (random, draft) => {
    const value: unknown = parsed(draft.body)
    draft.body = Buffer.from(JSON.stringify(mutatedValue(random, value)) ?? '')
  },
  (random, draft) => {
    draft.body = Buffer.from(mutatedJson(random, draft.body.toString()))
  },
  (random, draft) => {
    draft.body = random.chance(0.5)
      ? random.bytes(random.below(300))
      : Buffer.alloc(random.pick([8_192, 8_193, 60_000]), 32)
  },
  (random, draft) => {
    draft.method = random.pick(METHODS)
    draft.alone ||= draft.method === 'CONNECT' || draft.method === 'get' || draft.method === 'FOO'
  },
  (random, draft) => {
    draft.headers = draft.headers.filter(([name]) => name !== 'Content-Type')
    if (random.chance(0.8)) draft.headers.push(['Content-Type', random.pick(TYPES)])
  },
  (random, draft) => {
    const segments = draft.target.split('/')
    segments.splice(random.below(segments.length + 1), random.below(2), random.pick(SEGMENTS))
    draft.target = segments.join('/') || '/'
  },
  (random, draft) => {
    draft.target += random.pick(QUERIES)
  },
  (random, draft) => {
    draft.target = draft.target.replace(/[A-Za-z0-9]/g, (each) =>
      random.chance(0.1) ? `%${each.charCodeAt(0).toString(16)}` : each,
    )
  },
  (random, draft) => {
    draft.headers.push(random.pick(ODD_HEADERS))
  },
  (random, draft) => {
    draft.headers = draft.headers.filter(([name]) => name !== 'Authorization')
    draft.headers.push(random.pick(ODD_HEADERS.filter(([name]) => name === 'Authorization')))
  },
  (random, draft) => {
    draft.target = draft.target.replace(
      /[^/?]{4,}/,
      () => encodeURIComponent(Buffer.from(weirdText(random)).toString()) || 'x',
    )
  },
]

/** After these nobody can be sure where the next request begins. */
const UNFRAMED: readonly Mutation[] = [
  (random, draft) => {
    draft.headers.push([
      'Content-Length',
      random.pick(['0', '-1', '1', '99', '1e3', '0x10', '', '9'.repeat(30), '5, 5']),
    ])
  },
  (random, draft) => {
    draft.headers.push([
      'Transfer-Encoding',
      random.pick(['chunked', 'gzip', 'chunked, chunked', 'xchunked', ' chunked']),
    ])
  },
  (random, draft) => {
    draft.version = random.pick(['HTTP/1.0', 'HTTP/2.0', 'HTTP/0.9', 'HTTP/1.2', 'http/1.1', 'HTTP/1.1.1', ''])
  },
  (random, draft) => {
    draft.target = random.pick([
      'http://127.0.0.1/v1/sessions',
      '//v1//sessions',
      '*',
      'v1/sessions',
      '/v1/ses sions',
      '/\u00e9\u00ff',
      '/\0',
      '/v1/sessions\t',
      'https://[::1/v1',
      '',
    ])
  },
  (random, draft) => {
    draft.headers.push(
      random.pick<[string, string]>([
        ['Host', 'second'],
        ['Bad Name', 'x'],
        ['', 'x'],
        ['X', 'a\nb'],
        ['X', 'a\r\n folded'],
        ['X', '\0'],
        ['X', 'y'.repeat(9_000)],
        ['Connection', 'close'],
        ['Connection', 'Upgrade'],
        ['Upgrade', 'websocket'],
        ['Content-Type', 'application/json'],
      ]),
    )
  },
  (_random, draft) => {
    draft.headers = draft.headers.filter(([name]) => name !== 'Host')
  },
  (random, draft) => {
    const count = random.pick([50, 500, 2_000])
    for (let i = 0; i < count; i++) draft.headers.push([`X-${i}`, 'x'])
  },
  (random, draft) => {
    draft.headers.push(['Connection', 'Upgrade'], ['Upgrade', 'websocket'])
    draft.headers.push(['Sec-WebSocket-Version', random.pick(['13', '8', 'x'])])
    draft.headers.push(['Sec-WebSocket-Key', random.pick(['dGhlIHNhbXBsZSBub25jZQ==', 'short', ''])])
    draft.headers.push(['Sec-WebSocket-Protocol', random.pick(['pairlay.v1', 'x', 'pairlay.v1,pairlay.v1', ','])])
    draft.headers.push(['Sec-WebSocket-Extensions', random.pick(['permessage-deflate', ';', 'x;'.repeat(99)])])
  },
]

/** Does one to three things to a request that its author did not mean. */
export function worsen(random: Random, draft: Draft): Draft {
  for (let times = random.between(1, 3); times > 0; times--) {
    const alone = random.chance(0.15)
    random.pick(alone ? UNFRAMED : FRAMED)(random, draft)
    draft.alone ||= alone
  }
  return draft
}

export function bytesOf({ method, target, version, headers, body }: Draft): Buffer {
  const lengths: [string, string][] = body.length > 0 ? [['Content-Length', String(body.length)]] : []
  const lines = [...headers, ...lengths].map(([name, value]) => `${name}: ${value}`)
  const head = `${[`${method} ${target} ${version}`.trimEnd(), ...lines].join('\r\n')}\r\n\r\n`
  return Buffer.concat([Buffer.from(head, 'latin1'), body])
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString())
  } catch {
    return {}
  }
}
