import { decodeFrame, encodeData } from '../../../src/protocol/frame.ts'
import type { Random } from '../../support/random.ts'
import { mutatedBytes, mutatedJson, mutatedValue } from './values.ts'

/** Mutations of a JSON text or a frame by a hostile relay, by class. Nothing here knows the protocol's schemas. */

type Path = readonly (string | number)[]

/** Every place in a document, the whole left out. */
function pathsOf(value: unknown, fits: (value: unknown) => boolean, path: Path = []): Path[] {
  const inside =
    typeof value === 'object' && value !== null
      ? Object.entries(value).flatMap(([key, each]) =>
          pathsOf(each, fits, [...path, Array.isArray(value) ? Number(key) : key]),
        )
      : []
  return path.length > 0 && fits(value) ? [path, ...inside] : inside
}

/** A copy with another value at a place. A text that stands for raw JSON is marked. */
function withAt(value: unknown, [key, ...rest]: Path, becomes: (old: unknown) => unknown): unknown {
  if (key === undefined) return becomes(value)
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string | number, unknown>
  const changed = withAt(copy[key], rest, becomes)
  if (changed === ABSENT && !Array.isArray(copy)) delete copy[key]
  else copy[key] = changed
  return copy
}

const ABSENT = Symbol('absent')
const RAW = '\u0001raw:'

/** JSON with what `JSON.stringify` cannot say. */
function textOf(value: unknown): string {
  return JSON.stringify(value).replaceAll(/"\\u0001raw:([^"]*)"/g, (_, raw: string) =>
    Buffer.from(raw, 'hex').toString(),
  )
}
const raw = (json: string): string => RAW + Buffer.from(json).toString('hex')

const isText = (value: unknown): value is string => typeof value === 'string'
const isNumber = (value: unknown): value is number => typeof value === 'number'
const any = () => true

type Change = (random: Random, value: unknown) => unknown

/** Replaces a value that fits. */
const one =
  (fits: (value: unknown) => boolean, becomes: (random: Random, old: unknown) => unknown): Change =>
  (random, value) => {
    const paths = pathsOf(value, fits)
    if (paths.length === 0) return becomes(random, value)
    return withAt(value, random.pick(paths), (old) => becomes(random, old))
  }

const SURROGATES = ['\ud800', '\udfff', 'a\ud83d', '\udc00\ud800', '\ud800'.repeat(16)]
const NUMBERS = ['1e308', '-1e308', '1e999', '-1e999', '9007199254740993', '18446744073709551616', '1125899906842624']
const MORE_NUMBERS = ['-1', '-0', '0.5', '1e-7', '4294967296', '65536', '2147483648', '0', '99999999999999999999999999']
const TYPES = ['null', 'true', 'false', '""', '[]', '{}', '0', '[[]]', '{"length":1}', '"1"', '[null]', '-1']

/** Classes of values, by the names under which they are counted. */
export const JSON_CLASSES: Readonly<Record<string, (random: Random, value: unknown) => string>> = {
  'lone surrogates': (random, value) => textOf(one(isText, () => random.pick(SURROGATES))(random, value)),
  'huge numbers': (random, value) =>
    textOf(one(isNumber, () => raw(random.pick([...NUMBERS, ...MORE_NUMBERS])))(random, value)),
  'wrong types': (random, value) => textOf(one(any, () => raw(random.pick(TYPES)))(random, value)),
  'deep nesting': (random, value) => {
    const depth = random.pick([100, 1_000, 5_000])
    const [open, close] = random.pick([
      ['[', ']'],
      ['{"a":', '}'],
    ] as const)
    return textOf(one(any, () => raw(`${open.repeat(depth)}1${close.repeat(depth)}`))(random, value))
  },
  'absent fields': (random, value) => textOf(one(any, () => ABSENT)(random, value)),
  'duplicate keys': (random, value) => {
    const text = JSON.stringify(value)
    const keys = [...text.matchAll(/"(\w+)":/g)]
    const key = keys.length === 0 ? undefined : random.pick(keys)
    if (!key) return text
    return `${text.slice(0, key.index)}"${key[1]}":${random.pick(TYPES)},${text.slice(key.index)}`
  },
  'unknown words': (random, value) =>
    textOf(
      one(isText, () => random.pick(['unheard_of', 'PENDING', 'pending ', 'constructor', '__proto__', 'toString']))(
        random,
        value,
      ),
    ),
  'very long strings': (random, value) =>
    textOf(
      one(isText, () =>
        random.pick(['A', '\u0000', '\u{1f4a5}', '"']).repeat(random.pick([33, 1_000, 70_000, 300_000])),
      )(random, value),
    ),
  'extra rows': (random, value) =>
    textOf(one(Array.isArray, (_, rows) => moreRows(random, rows as unknown[]))(random, value)),
  'prototype keys': (random, value) =>
    JSON.stringify(value).replace(
      '{',
      `{"${random.pick(['__proto__', 'constructor', 'prototype'])}":${random.pick(TYPES)},`,
    ),
  'no JSON': (random, value) => mutatedJson(random, JSON.stringify(value)),
  'anything else': (random, value) => JSON.stringify(mutatedValue(random, value)) ?? 'undefined',
}

/** Rows that repeat, that are new, or that are nothing. */
function moreRows(random: Random, rows: readonly unknown[]): unknown[] {
  const row = (n: number) => ({
    receiverCode: random.word(6).replaceAll(/[^A-Za-z0-9]/g, 'A'),
    channel: n,
    state: random.pick(['pending', 'approved', 'done', 'left', 'denied', 'revoked']),
    publicKey: random.bytes(32).toString('base64url'),
    present: random.chance(0.5),
    received: random.below(5),
    acked: random.below(5),
    window: random.pick([0, 4_096, 2 ** 31]),
  })
  const from = random.pick([1, 2, 9, 1_000, 65_500])
  const more = Array.from({ length: random.pick([1, 2, 31, 33, 200]) }, (_, n) =>
    random.pick([row(from + n), row(1), ...rows]),
  )
  return random.chance(0.5) ? [...rows, ...more] : [...more, ...rows]
}

/** Classes of frames. The bytes are one whole message of a socket. */
export const FRAME_CLASSES: Readonly<Record<string, (random: Random, frame: Uint8Array) => Uint8Array | string>> = {
  'frames with other headers': (random, frame) => {
    const copy = Buffer.from(frame)
    const at = random.below(Math.min(8, copy.length))
    copy[at] = random.pick([0, 1, 2, 3, 0x7f, 0xff])
    return copy
  },
  'frames out of order': (random, frame) => {
    const { channel, seq, bytes } = decodeFrame(frame)
    const other = random.pick([seq - 1, seq + 1, seq + 2, seq + 1_000, 1, 0xffff_ffff])
    return encodeData(channel, Math.max(1, other), bytes.subarray(8).length > 0 ? bytes.subarray(8) : Uint8Array.of(1))
  },
  'frames of other channels': (random, frame) => {
    const copy = Buffer.from(frame)
    copy.writeUInt16BE(random.pick([0, 2, 3, 1_000, 65_535]), 2)
    return copy
  },
  'cut and changed frames': (random, frame) => mutatedBytes(random, Buffer.from(frame)),
  'acks of what was not sent': (random, frame) => {
    const ack = Buffer.alloc(8)
    ack[0] = 2
    ack.writeUInt16BE(Buffer.from(frame).readUInt16BE(2), 2)
    ack.writeUInt32BE(random.pick([0, 1, 2, 3, 10, 0xffff_ffff]), 4)
    return ack
  },
  'frames that are longer': (random, frame) =>
    Buffer.concat([
      frame,
      random.bytes(1).length > 0 ? Buffer.alloc(random.pick([1, 2_048, 65_536, 300_000]), 7) : frame,
    ]),
  'noise for a frame': (random) => random.bytes(random.pick([0, 1, 7, 8, 9, 100, 1_248])),
  'text for a frame': (random) =>
    random.pick(['', '{}', 'null', '\ud800', '[]', '{"type":"session"}', 'x'.repeat(10_000)]),
}

/** Parts of an HTTP request beside its body. */
export const HTTP_CLASSES: Readonly<Record<string, (random: Random, answer: Response, body: Uint8Array) => Response>> =
  {
    'other statuses': (random, { headers }, body) => {
      const status = random.pick([
        200, 201, 202, 204, 205, 400, 401, 403, 404, 408, 409, 410, 413, 429, 500, 502, 503, 599,
      ])
      const empty = status === 204 || status === 205
      return new Response(empty ? null : new Uint8Array(body), { status, headers: plain(headers) })
    },
    'other types': (random, { status }, body) =>
      answered(
        random,
        status,
        body,
        random.pick(['', 'text/html', 'application/json; x', 'application/octet-stream', 'a/b', '\u00ff']),
      ),
    'refusals that nobody knows': (random, _, __) => {
      const code = random.pick([
        'unheard_of',
        '__proto__',
        'constructor',
        'a'.repeat(1_000),
        '\ud800',
        'frame_refused',
        'superseded',
        'resume_required',
        'rate_limited',
        'session_full',
      ])
      const problem = {
        type: 'about:blank',
        title: 'No',
        status: 400,
        code,
        retryable: random.chance(0.5),
        detail: '\u001b[2J',
      }
      const status = random.pick([400, 404, 409, 410, 429, 500, 503])
      const later = random.pick([
        '',
        '0',
        '-1',
        '1e999',
        '99999999999999',
        'soon',
        'Fri, 31 Dec 9999 23:59:59 GMT',
        '1',
      ])
      return Response.json(problem, { status, headers: later === '' ? {} : { 'retry-after': later } })
    },
    'answers that break off': (random, { status, headers }, body) => {
      const cut = new Uint8Array(body).slice(0, random.below(body.length + 1))
      const stream = new ReadableStream<Uint8Array>({
        start(controller) {
          if (cut.length > 0) controller.enqueue(cut)
          controller.error(new TypeError('terminated'))
        },
      })
      return new Response(status === 204 ? null : stream, { status, headers: plain(headers) })
    },
    'answers without an end': (_, { status, headers }, __) => {
      const piece = new Uint8Array(65_536)
      const stream = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(piece) })
      return new Response(status === 204 ? null : stream, { status, headers: plain(headers) })
    },
  }

function answered(_: Random, status: number, body: Uint8Array, type: string): Response {
  return new Response(status === 204 ? null : new Uint8Array(body), { status, headers: { 'content-type': type } })
}

/** Headers without a length, which a changed body no longer has. */
function plain(headers: Headers): Headers {
  const copy = new Headers(headers)
  copy.delete('content-length')
  return copy
}
