import { describe, expect, test } from 'vitest'
import type * as z from 'zod/mini'
import { Code, DeviceName, Profile, PublicKey, SessionId, Token } from '../../src/protocol/fields.ts'
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

const takes = (schema: z.ZodMiniType, value: unknown) => schema.safeParse(value).success
const base64Url = (length: number, fill = 0xab) => Buffer.alloc(length, fill).toString('base64url')

/** Checks a schema against values it takes and values it refuses; a failure names the value. */
function bounds(name: string, schema: z.ZodMiniType, taken: unknown[], refused: unknown[]): void {
  test(`${name} takes what is documented`, () => {
    for (const value of taken) expect([value, takes(schema, value)]).toEqual([value, true])
  })
  test(`${name} refuses everything beyond its bounds`, () => {
    for (const attacker of refused) expect([attacker, takes(schema, attacker)]).toEqual([attacker, false])
  })
}

const notStrings = [undefined, null, 0, true, [], {}]

describe('the parts of a request', () => {
  bounds(
    'a code',
    Code,
    ['abcd', 'A-_9', 'x'.repeat(CODE_MAX_LENGTH), '----', '__proto__'],
    [
      'x'.repeat(CODE_MIN_LENGTH - 1),
      'x'.repeat(CODE_MAX_LENGTH + 1),
      '',
      'ab d',
      'abcd\n',
      'ab/d',
      'äbcd',
      'ab.d',
      'ab%d',
      ...notStrings,
    ],
  )
  for (const [name, schema, length] of [
    ['a session id', SessionId, 16],
    ['a token', Token, 32],
  ] as const) {
    const right = base64Url(length)
    bounds(
      name,
      schema,
      [right, base64Url(length, 0), base64Url(length, 0xff)],
      [
        base64Url(length - 1),
        base64Url(length + 1),
        right.slice(1),
        `${right}A`,
        `${right}=`,
        `${right}\n`,
        `${right.slice(0, -1)}/`,
        `${right.slice(0, -1)}+`,
        `${right.slice(0, -1)}é`,
        // The last character has bits behind the last byte: another text for the same bytes.
        `${right.slice(0, -1)}${String.fromCharCode(right.charCodeAt(right.length - 1) + 1)}`,
        '',
        ...notStrings,
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
      [right, base64Url(1), base64Url(2), base64Url(33), base64Url(most), PROFILE_DEFAULT],
      [
        base64Url(most + 1),
        `${right}AA`,
        `${right}=`,
        `${right}\n`,
        `${right.slice(0, -1)}/`,
        `${right.slice(0, -1)}é`,
        'AR',
        'A',
        'x'.repeat(1_000_000),
        '',
        ...notStrings,
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

describe('requests', () => {
  const create = { clientId: 'client', senderCode: 'code' }
  bounds(
    'creating a session',
    CreateSessionRequest,
    [
      create,
      { ...create, ttlSeconds: TTL_MIN_SECONDS, maxReceivers: 1 },
      { ...create, ttlSeconds: TTL_MAX_SECONDS, maxReceivers: RECEIVERS_MAX },
      { ...create, clientId: '漢'.repeat(64) },
      { ...create, unknown: { field: true } },
      { ...create, profile: base64Url(PROFILE_MAX_BYTES) },
    ],
    [
      {},
      { clientId: 'client' },
      { senderCode: 'code' },
      { ...create, clientId: '' },
      { ...create, clientId: 'x'.repeat(65) },
      { ...create, clientId: 1 },
      { ...create, ttlSeconds: TTL_MIN_SECONDS - 1 },
      { ...create, ttlSeconds: TTL_MAX_SECONDS + 1 },
      { ...create, ttlSeconds: 60.5 },
      { ...create, ttlSeconds: '60' },
      { ...create, ttlSeconds: null },
      { ...create, ttlSeconds: 1e300 },
      { ...create, maxReceivers: 0 },
      { ...create, maxReceivers: RECEIVERS_MAX + 1 },
      { ...create, maxReceivers: 1.5 },
      { ...create, profile: base64Url(PROFILE_MAX_BYTES + 1) },
      [create],
      null,
      'create',
    ],
  )

  const join = { senderCode: 'code', receiverCode: 'other', publicKey: base64Url(32) }
  bounds(
    'joining',
    JoinRequest,
    [join, { ...join, name: 'Pixel' }, { ...join, receiverCode: 'code' }, { ...join, profile: PROFILE_DEFAULT }],
    [
      { ...join, senderCode: 'x' },
      { ...join, receiverCode: undefined },
      { ...join, publicKey: base64Url(PUBLIC_KEY_MAX_BYTES + 1) },
      { ...join, publicKey: Buffer.alloc(32, 0xab).toString('base64') },
      { ...join, profile: '' },
      { ...join, profile: base64Url(PROFILE_MAX_BYTES + 1) },
      { ...join, name: '' },
      { ...join, name: null },
    ],
  )

  bounds(
    'a decision',
    DecisionRequest,
    [
      { decision: 'approved' },
      { decision: 'denied' },
      { decision: 'denied', reason: 'rejected' },
      { decision: 'denied', reason: 'handshake_failed' },
      { decision: 'denied', reason: 'handshake_invalid' },
      { decision: 'denied', reason: 'handshake_timeout' },
      { decision: 'denied', reason: 'unsupported' },
    ],
    [
      {},
      { decision: 'pending' },
      { decision: 'denied', reason: 'other' },
      { decision: 'denied', reason: null },
      { decision: 'approved', reason: 'rejected' },
      { decision: true },
    ],
  )

  bounds(
    'the query of a view',
    ViewQuery,
    [
      {},
      { version: '' },
      { version: 'x'.repeat(32), waitMs: '0' },
      { waitMs: String(LONG_POLL_MAX_MS) },
      { channels: '1.17.4,2.0.0', attachment: '7' },
    ],
    [
      { version: '\ud800' },
      { version: 'a b' },
      { attachment: '' },
      { attachment: 'a/b' },
      { attachment: 'x'.repeat(33) },
      { version: 'x'.repeat(33) },
      { waitMs: '-1' },
      { waitMs: String(LONG_POLL_MAX_MS + 1) },
      { waitMs: '1.5' },
      { waitMs: 'soon' },
      { waitMs: 'NaN' },
      { waitMs: ['1', '2'] },
      { version: ['a', 'b'] },
    ],
  )

  test('what nobody documented is dropped, not passed on', () => {
    expect(CreateSessionRequest.parse({ ...create, admin: true })).toEqual(create)
    expect(DecisionRequest.parse({ decision: 'approved', by: 'nobody' })).toEqual({ decision: 'approved' })
  })
})

describe('the attach frame', () => {
  const attach = { type: 'attach', token: base64Url(32), channels: [] as unknown[] }
  const row = { channel: 1, received: 0, acked: 0 }
  bounds(
    'it',
    Attach,
    [
      attach,
      { ...attach, channels: [row, { channel: 0xffff, received: SEQ_MAX, acked: SEQ_MAX }] },
      { ...attach, channels: Array.from({ length: 32 }, (_, i) => ({ ...row, channel: i + 1 })) },
      { ...attach, later: 1 },
    ],
    [
      { ...attach, type: 'detach' },
      { ...attach, token: base64Url(31) },
      { ...attach, channels: undefined },
      { ...attach, channels: {} },
      { ...attach, channels: Array(33).fill(row) },
      { ...attach, channels: [{ ...row, channel: 0 }] },
      { ...attach, channels: [{ ...row, channel: 0x1_0000 }] },
      { ...attach, channels: [{ ...row, received: SEQ_MAX + 1 }] },
      { ...attach, channels: [{ ...row, received: '1' }] },
      { ...attach, channels: [{ ...row, acked: -1 }] },
      { ...attach, channels: [null] },
    ],
  )

  test('the subprotocol is pairlay.v1', () => {
    expect(SUBPROTOCOL).toBe('pairlay.v1')
  })
})

describe('answers', () => {
  const limits = { windowBytes: 1, maxFrameBytes: 1, maxReceivers: 1, ttlSeconds: 1 }
  const created = { sessionId: base64Url(16), token: base64Url(32), expiresInMs: 0, limits }
  bounds(
    'of a create',
    CreateSessionResponse,
    [created, { ...created, features: [] }, { ...created, features: ['of-a-later-version'] }],
    [
      { ...created, features: ['x'.repeat(65)] },
      { ...created, features: Array(65).fill('x') },
      { ...created, features: 'x' },
      { ...created, expiresInMs: -1 },
      { ...created, expiresInMs: 0.5 },
      { ...created, limits: { ...limits, windowBytes: 0 } },
      { ...created, token: '' },
    ],
  )
  bounds(
    'of a join',
    JoinResponse,
    [{ ...created, channel: 1 }],
    [created, { ...created, channel: 0 }, { ...created, channel: 65_536 }],
  )

  const receiver = { receiverCode: 'code', channel: 1, state: 'pending' }
  bounds(
    'rows of receivers',
    ReceiverRow,
    [
      receiver,
      { ...receiver, publicKey: base64Url(32), name: 'x', present: true },
      { ...receiver, state: 'denied', reason: 'rejected' },
    ],
    [
      { ...receiver, state: 1 },
      { ...receiver, state: 'x'.repeat(65) },
      { ...receiver, reason: null },
      { ...receiver, profile: '' },
      { ...receiver, publicKey: 'x' },
      { ...receiver, present: 1 },
    ],
  )
  bounds(
    'rows of channels',
    ChannelRow,
    [{ channel: 1, received: 0, acked: 0, window: 0 }],
    [
      { channel: 1, received: 0, acked: 0, window: -1 },
      { channel: 1, received: 0, acked: 0 },
    ],
  )
  const view = {
    type: 'session',
    version: '1',
    role: 'sender',
    state: 'open',
    expiresInMs: 1,
    joinable: true,
    receivers: [],
    channels: [],
  }
  bounds(
    'views',
    View,
    [view, { ...view, state: 'closed', reason: 'expired' }, { ...view, role: 'receiver', senderPresent: false }],
    [
      { ...view, version: 'x'.repeat(33) },
      { ...view, version: '' },
      { ...view, version: '\ud800' },
      { ...view, version: 'a b' },
      { ...view, role: 'admin' },
      { ...view, state: true },
      { ...view, reason: 1 },
      { ...view, receivers: Array(33).fill(receiver) },
    ],
  )
  test('words of a later version read as the generic one of their kind', () => {
    const row = { ...receiver, state: 'paused', reason: 'bored' }
    const read = View.parse({ ...view, state: 'frozen', reason: 'boredom', receivers: [row] })
    expect(read).toMatchObject({ state: 'closed', reason: 'closed_by_sender' })
    expect(read.receivers).toEqual([{ ...receiver, state: 'ended', reason: 'rejected' }])
  })

  const problem = { type: 'about:blank', title: 't', status: 404, code: 'not_found', retryable: false }
  bounds(
    'problems',
    Problem,
    [problem, { ...problem, detail: 'd' }, { ...problem, code: 'of_a_later_version' }],
    [
      { ...problem, type: 'https://errors.example' },
      { ...problem, status: '404' },
      { ...problem, retryable: undefined },
    ],
  )
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
