import { describe, expect, test } from 'vitest'
import type * as z from 'zod/mini'
import { Code, DeviceName, Profile, PublicKey, SessionId, Token } from '../../src/protocol/fields.ts'
import type { Form } from '../../src/protocol/forms.ts'
import {
  CODE_MAX_LENGTH,
  CODE_MIN_LENGTH,
  frameCost,
  LONG_POLL_MAX_MS,
  PROFILE_DEFAULT,
  PROFILE_MAX_BYTES,
  PUBLIC_KEY_MAX_BYTES,
  RECEIVERS_MAX,
  SEQ_MAX,
  TTL_MAX_SECONDS,
  TTL_MIN_SECONDS,
} from '../../src/protocol/limits.ts'
import { Attach, CreateSessionRequest, DecisionRequest, JoinRequest, ViewQuery } from '../../src/protocol/requests.ts'
import { CreateSessionResponse, JoinResponse, Problem } from '../../src/protocol/responses.ts'
import { ChannelRow, ReceiverRow, SUBPROTOCOL, View } from '../../src/protocol/view.ts'
import { zodOf } from '../../src/protocol/zod.ts'

/** Reports whether a value is taken. A form and the relay's schema of it must agree, on what they make of it too. */
function takes(schema: z.ZodMiniType | Form<unknown>, value: unknown): boolean {
  const { success, data } = schema.safeParse(value)
  if ('rule' in schema) {
    const { success: alsoSuccess, data: sameData } = zodOf(schema).safeParse(value)
    expect([value, alsoSuccess, sameData]).toEqual([value, success, data])
  }
  return success
}

const base64Url = (length: number, fill = 0xab) => Buffer.alloc(length, fill).toString('base64url')

/** Checks a schema against values it takes and values it refuses; a failure names the value. */
function bounds(name: string, schema: z.ZodMiniType | Form<unknown>, taken: unknown[], refused: unknown[]): void {
  test(`${name} takes what is documented, and refuses everything beyond its bounds`, () => {
    for (const value of taken) expect([value, takes(schema, value)]).toEqual([value, true])
    for (const attacker of refused) expect([attacker, takes(schema, attacker)]).toEqual([attacker, false])
  })
}

/** By field, the values that an object may have there, and those it may not. */
type Fields = Readonly<Record<string, readonly [taken: readonly unknown[], refused: readonly unknown[]]>>

/** Checks a schema of objects, with one field at a time changed in an object that it takes. */
function fieldBounds(name: string, schema: z.ZodMiniType | Form<unknown>, valid: object, fields: Fields): void {
  const changed = (which: 0 | 1) =>
    Object.entries(fields).flatMap(([field, values]) => values[which].map((value) => ({ ...valid, [field]: value })))
  bounds(name, schema, [valid, ...changed(0)], [...changed(1), [valid], null, 'text'])
}

const notStrings = [undefined, null, 0, true, [], {}]

describe('the parts of a request', () => {
  bounds(
    'a code',
    Code,
    ['abcd', 'A-_9', 'x'.repeat(CODE_MAX_LENGTH), '----', '__proto__'],
    [
      ...[CODE_MIN_LENGTH - 1, CODE_MAX_LENGTH + 1].map((length) => 'x'.repeat(length)),
      ...['', 'ab d', 'abcd\n', 'ab/d', 'äbcd', 'ab.d', 'ab%d', ...notStrings],
    ],
  )
  for (const [name, schema, length] of [
    ['a session id', SessionId, 16],
    ['a token', Token, 32],
  ] as const) {
    const right = base64Url(length)
    // The last character has bits behind the last byte: another text for the same bytes.
    const otherText = String.fromCharCode(right.charCodeAt(right.length - 1) + 1)
    bounds(
      name,
      schema,
      [right, base64Url(length, 0), base64Url(length, 0xff)],
      [
        ...[base64Url(length - 1), base64Url(length + 1), right.slice(1), '', ...notStrings],
        ...['A', '=', '\n'].map((more) => right + more),
        ...['/', '+', 'é', otherText].map((last) => right.slice(0, -1) + last),
      ],
    )
  }
  for (const [name, schema, most] of [
    ['a public key', PublicKey, PUBLIC_KEY_MAX_BYTES],
    ['a profile', Profile, PROFILE_MAX_BYTES],
  ] as const) {
    const right = base64Url(32)
    bounds(
      name,
      schema,
      [...[1, 2, 32, 33, most].map((length) => base64Url(length)), PROFILE_DEFAULT],
      [
        ...[base64Url(most + 1), 'AR', 'A', 'x'.repeat(1_000_000), '', ...notStrings],
        ...['AA', '=', '\n'].map((more) => right + more),
        ...['/', 'é'].map((last) => right.slice(0, -1) + last),
      ],
    )
  }
  bounds(
    'a name',
    DeviceName,
    ['a', 'x'.repeat(64), 'é'.repeat(32), '🙂'.repeat(16), '"'.repeat(32), '\u0000'.repeat(10), '\n', '‮'],
    ['', 'x'.repeat(65), `${'é'.repeat(32)}x`, '🙂'.repeat(17), '"'.repeat(33), '\u0000'.repeat(11), ...notStrings],
  )
})

const PROFILES = [
  [base64Url(PROFILE_MAX_BYTES), PROFILE_DEFAULT],
  ['', base64Url(PROFILE_MAX_BYTES + 1)],
] as const

describe('requests', () => {
  const create = { clientId: 'client', senderCode: 'code' }
  fieldBounds('creating a session', CreateSessionRequest, create, {
    clientId: [['漢'.repeat(64)], [undefined, '', 'x'.repeat(65), 1]],
    senderCode: [[], [undefined]],
    ttlSeconds: [
      [TTL_MIN_SECONDS, TTL_MAX_SECONDS],
      [TTL_MIN_SECONDS - 1, TTL_MAX_SECONDS + 1, 60.5, '60', null, 1e300],
    ],
    maxReceivers: [
      [1, RECEIVERS_MAX],
      [0, RECEIVERS_MAX + 1, 1.5],
    ],
    profile: PROFILES,
    unknown: [[{ field: true }], []],
  })

  const join = { senderCode: 'code', receiverCode: 'other', publicKey: base64Url(32) }
  fieldBounds('joining', JoinRequest, join, {
    senderCode: [[], ['x']],
    receiverCode: [['code'], [undefined]],
    publicKey: [[], [base64Url(PUBLIC_KEY_MAX_BYTES + 1), Buffer.alloc(32, 0xab).toString('base64')]],
    profile: PROFILES,
    name: [['Pixel'], ['', null]],
  })

  const reasons = ['rejected', 'handshake_failed', 'handshake_invalid', 'handshake_timeout', 'unsupported']
  fieldBounds('a denial', DecisionRequest, { decision: 'denied' }, { reason: [reasons, ['other', null]] })
  fieldBounds(
    'an approval',
    DecisionRequest,
    { decision: 'approved' },
    { decision: [[], [undefined, 'pending', true]], reason: [[], ['rejected']] },
  )

  fieldBounds(
    'the query of a view',
    ViewQuery,
    {},
    {
      version: [
        ['', 'x'.repeat(32)],
        ['\ud800', 'a b', 'x'.repeat(33), ['a', 'b']],
      ],
      waitMs: [
        ['0', String(LONG_POLL_MAX_MS)],
        ['-1', String(LONG_POLL_MAX_MS + 1), '1.5', 'soon', 'NaN', ['1', '2']],
      ],
      channels: [
        ['', '1.17.4,2.0.0'],
        ['1.0', '1.0.0,', '1.0.0.0'],
      ],
      attachment: [['7'], ['', 'a/b', 'x'.repeat(33)]],
    },
  )

  test('what nobody documented is dropped, not passed on', () => {
    expect(CreateSessionRequest.parse({ ...create, admin: true })).toEqual(create)
    expect(DecisionRequest.parse({ decision: 'approved', by: 'nobody' })).toEqual({ decision: 'approved' })
  })
})

describe('the attach frame', () => {
  const row = { channel: 1, received: 0, acked: 0 }
  const rows = (count: number) => Array.from({ length: count }, (_, i) => ({ ...row, channel: i + 1 }))
  const wrong = [{ channel: 0 }, { channel: 0x1_0000 }, { received: SEQ_MAX + 1 }, { received: '1' }, { acked: -1 }]
  const attach = { type: 'attach', token: base64Url(32), channels: [] as unknown[] }
  fieldBounds('it', Attach, attach, {
    type: [[], ['detach']],
    token: [[], [base64Url(31)]],
    channels: [
      [[row, { channel: 0xffff, received: SEQ_MAX, acked: SEQ_MAX }], rows(32)],
      [undefined, {}, rows(33), [row, row], [null], ...wrong.map((change) => [{ ...row, ...change }])],
    ],
    later: [[1], []],
  })

  test('the subprotocol is pairlay.v1', () => {
    expect(SUBPROTOCOL).toBe('pairlay.v1')
  })
})

describe('answers', () => {
  const limits = { windowBytes: 1, maxFrameBytes: 1, maxReceivers: 1, ttlSeconds: 1 }
  const created = { sessionId: base64Url(16), token: base64Url(32), expiresInMs: 0, limits }
  fieldBounds('of a create', CreateSessionResponse, created, {
    features: [
      [[], ['of-a-later-version']],
      [['x'.repeat(65)], Array(65).fill('x'), 'x'],
    ],
    expiresInMs: [[], [-1, 0.5]],
    limits: [[], Object.keys(limits).map((limit) => ({ ...limits, [limit]: 0 }))],
    token: [[], ['']],
  })
  fieldBounds(
    'of a join',
    JoinResponse,
    { ...created, channel: 1 },
    {
      channel: [[], [undefined, 0, 65_536]],
      profile: PROFILES,
    },
  )

  const receiver = { receiverCode: 'code', channel: 1, state: 'pending' }
  fieldBounds('rows of receivers', ReceiverRow, receiver, {
    publicKey: [[base64Url(32)], ['x']],
    name: [['x'], []],
    present: [[true], [1]],
    state: [['denied'], [1, 'x'.repeat(65)]],
    reason: [['rejected'], [null]],
    profile: [[], ['']],
  })
  const row = { channel: 1, received: 0, acked: 0, window: 0 }
  fieldBounds('rows of channels', ChannelRow, row, { window: [[], [-1, undefined]], available: [[0], [-1]] })
  const open = { type: 'session', version: '1', role: 'sender', state: 'open', expiresInMs: 1, joinable: true }
  const view = { ...open, receivers: [], channels: [] }
  fieldBounds('views', View, view, {
    type: [[], ['attach']],
    expiresInMs: [[0], [-1, 0.5]],
    joinable: [[false], [undefined, 1]],
    channels: [[Array(32).fill(row)], [undefined, Array(33).fill(row)]],
    version: [[], ['x'.repeat(33), '', '\ud800', 'a b']],
    role: [['receiver'], ['admin']],
    state: [['closed'], [true]],
    reason: [['expired'], [1]],
    senderPresent: [[false], []],
    receivers: [[], [Array(33).fill(receiver)]],
  })
  test('words of a later version read as the generic one of their kind', () => {
    const row = { ...receiver, state: 'paused', reason: 'bored' }
    const read = zodOf(View).parse({ ...view, state: 'frozen', reason: 'boredom', receivers: [row] })
    expect(read).toMatchObject({ state: 'closed', reason: 'closed_by_sender' })
    expect(read.receivers).toEqual([{ ...receiver, state: 'ended', reason: 'rejected' }])
    expect(View.safeParse({ ...view, state: 'frozen', reason: 'boredom', receivers: [row] }).data).toEqual(read)
  })

  const problem = { type: 'about:blank', title: 't', status: 404, code: 'not_found', retryable: false }
  fieldBounds('problems', Problem, problem, {
    detail: [['d'], []],
    code: [['of_a_later_version'], []],
    type: [[], ['https://errors.example']],
    status: [[], ['404']],
    retryable: [[], [undefined]],
  })
})

describe('the cost of a frame', () => {
  test('is header and ciphertext, 256 at least', () => {
    expect([0, 1, 247, 248, 249, 262_264].map(frameCost)).toEqual([256, 256, 256, 256, 257, 262_272])
  })

  test('of four chunks of 64 KiB with their overhead fits the default frame', () => {
    expect(8 + 1 + 4 * (65_536 + 16)).toBe(262_217)
    expect(frameCost(262_217 - 8)).toBeLessThanOrEqual(262_272)
  })
})
