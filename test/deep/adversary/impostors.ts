import { ristretto255 } from '@noble/curves/ed25519.js'
import nacl from 'tweetnacl'
import { cpaceVectors, fromHex } from '../../crypto/support.ts'
import { attack, BROKEN, type Case, type Ends, ends, GOOD, REFUSED, UNANSWERED, UNPROVEN } from './cases.ts'
import { type Answer, HandmadeReceiver, HandmadeSender, type Knowledge, open, pointOf, type Twist } from './handmade.ts'
import { type Message, onMessage, saying, swapField } from './operators.ts'
import type { Flying, Operator } from './relay.ts'
import type { Seed } from './seed.ts'

/** Peers made by the relay, which know the protocol and break one rule of it; some know the code too. */

export const knowledgeOf = ({ meeting, guest }: Pick<Flying, 'meeting' | 'guest'>, secret: string): Knowledge => ({
  locator: meeting.locator,
  receiverCode: guest.ownCode,
  sessionId: new Uint8Array(Buffer.from(meeting.sessionId, 'base64url')),
  secret,
})

export const keyOf = ({ guest }: Pick<Flying, 'guest'>) => new Uint8Array(Buffer.from(guest.ownKey, 'base64url'))

/** Takes the place of the receiver: what the real one says goes nowhere. */
export function impostorReceiver(seed: Seed, secret: () => string, twist: Twist): Operator {
  let attacker: HandmadeReceiver
  return {
    name: 'impostor',
    join(request, { meeting }) {
      const { receiverCode } = request
      const sessionId = new Uint8Array(Buffer.from(meeting.sessionId, 'base64url'))
      const known = { locator: meeting.locator, receiverCode, sessionId, secret: secret() }
      attacker = new HandmadeReceiver(known, (length) => seed.bytes(length), twist)
      return { ...request, publicKey: Buffer.from(attacker.publicKey).toString('base64url') }
    },
    data(frame, relay) {
      if (frame.from === 'receiver') return frame.seq === 1 ? [{ ...frame, ciphertext: attacker.m1 }] : []
      if (frame.seq === 1) relay.deliver({ ...frame, from: 'receiver', ciphertext: attacker.m3(frame.ciphertext) })
      return []
    },
  }
}

/** Takes the place of the sender. */
export function impostorSender(seed: Seed, secret: () => string, twist: Twist): Operator {
  let attacker: Answer
  return {
    name: 'impostor',
    data(frame, relay) {
      if (frame.from === 'sender') return []
      const say = (ciphertext: Uint8Array) => relay.deliver({ ...frame, from: 'sender', ciphertext })
      if (frame.seq === 1) {
        const sender = new HandmadeSender(knowledgeOf(frame, secret()), (length) => seed.bytes(length), twist)
        attacker = sender.answer(frame.ciphertext, keyOf(frame))
        say(attacker.m2)
      } else if (frame.seq === 2) {
        say(open(attacker.keys(pointOf(frame.ciphertext)), frame.ciphertext, attacker.nonce))
      }
      return []
    },
  }
}

export const secretOf = (code: string) => code.slice(6, 11)
const WRONG = () => 'WR0NG'
const identity = new Uint8Array(32)
const undecodable = fromHex(cpaceVectors.G_Coffee25519_points['Invalid Y1'])
/** p itself, which is another spelling of zero. */
const nonCanonical = Uint8Array.from([0xed, ...new Array(30).fill(0xff), 0x7f])
const P = 2n ** 255n - 19n
/** p minus the encoding: the same field element but for its sign, which a ristretto255 encoding must not have. */
export function negative(encoded: Uint8Array): Uint8Array {
  const number = BigInt(`0x${Buffer.from(encoded).reverse().toString('hex')}`)
  return Uint8Array.from(Buffer.from((P - number).toString(16).padStart(64, '0'), 'hex').reverse())
}
const lowOrder = Object.entries(cpaceVectors.X25519_points)
  .map(([name, hex]) => [name, fromHex(hex)] as const)
  .filter(([, point]) => nacl.verify(nacl.scalarMult(identity, point), identity))

/** Deeds of impostors, and if they need the code for them. */
const POINTS: readonly (readonly [name: string, twist: Twist])[] = [
  ['the identity as point', { point: identity, K: identity }],
  ['a point that does not decode', { point: undecodable, K: identity }],
  ['a second spelling of the identity', { point: nonCanonical, K: identity }],
  ['a negative spelling of a good point', { point: negative(ristretto255.Point.BASE.toBytes()), K: identity }],
  ['a point of ones', { point: new Uint8Array(32).fill(0xff), K: identity }],
]
const LOW: readonly (readonly [name: string, twist: Twist])[] = lowOrder.map(([name, publicKey]) => [
  `X25519 of low order, ${name}`,
  { publicKey, dh: identity },
])

const knowing = (code: () => string) => () => secretOf(code())

/** Refused before any guess or tag: the sender wipes the run and denies, the receiver leaves. */
const points: Case[] = [
  ...POINTS.map((each) => [...each, WRONG] as const),
  ...LOW.map((each) => [...each, undefined] as const),
].flatMap(([name, twist, secret]) => [
  attack(name, 'sender', REFUSED, ({ seed, code }) => [impostorReceiver(seed, secret ?? knowing(code), twist)]),
  attack(name, 'receiver', UNANSWERED, ({ seed, code }) => [impostorSender(seed, secret ?? knowing(code), twist)]),
])

/** [what differs, guesses at the sender]: ADb is behind the commitment, ADa only behind the tag. */
const SUITES: readonly (readonly [name: string, twist: Twist, Ends])[] = [
  ['another suite byte in ADa', { suiteOfSender: 2 }, ends(['wrong_code', 0, 1], ['wrong_code', 0, 0])],
  ['another suite byte in ADb', { suiteOfReceiver: 2 }, REFUSED],
  ['another suite byte in both', { suiteOfSender: 2, suiteOfReceiver: 2 }, REFUSED],
]
const TAG_SPENT = ends(['waits', 0, 0], ['wrong_code', 0, 1])

const suites = SUITES.flatMap(([name, twist, ended]) => [
  attack(name, 'sender', ended, ({ seed, code }) => [impostorReceiver(seed, knowing(code), twist)]),
  attack(name, 'receiver', TAG_SPENT, ({ seed, code }) => [impostorSender(seed, knowing(code), twist)]),
])

/** How a message is taken that has a byte less, or one more. */
const LENGTHS = {
  m1: ['sender', REFUSED],
  m2: ['receiver', UNANSWERED],
  m3: ['sender', BROKEN],
  m4: ['receiver', UNPROVEN],
} as const

const lengths = (Object.keys(LENGTHS) as Message[]).flatMap((message) => {
  const [against, ended] = LENGTHS[message]
  const becomes = (change: (bytes: Uint8Array) => Uint8Array) => () => [
    onMessage(message, (frame) => saying(change(frame.ciphertext))(frame)),
  ]
  return [
    attack(
      `${message}, a byte less`,
      against,
      ended,
      becomes((bytes) => bytes.subarray(1)),
    ),
    attack(
      `${message}, a byte more`,
      against,
      ended,
      becomes((bytes) => Buffer.concat([bytes, Buffer.of(0)])),
    ),
  ]
})

export const impostorCases: Case[] = [
  ...points,
  ...suites,
  attack('a relay that guesses', 'sender', ends(['wrong_code', 0, 1], ['wrong_code', 0, 0]), ({ seed }) => [
    impostorReceiver(seed, WRONG, {}),
  ]),
  attack('a relay that guesses', 'receiver', TAG_SPENT, ({ seed }) => [impostorSender(seed, WRONG, {})]),
  attack('a relay that guesses right', 'sender', ends(['waits', 1, 0], ['waits', 0, 0]), ({ seed, code }) => [
    impostorReceiver(seed, knowing(code), {}),
  ]),
  attack(
    'a relay that guesses right',
    'receiver',
    ends(['handshake_timeout', 0, 0], ['handshake_timeout', 1, 1]),
    ({ seed, code }) => [impostorSender(seed, knowing(code), {})],
  ),
  // The row stays: the number has to be typed then.
  attack('bring somebody with the code who leaves', 'sender', GOOD, () => [], { rehearsed: true }),
  attack('ML-KEM key outside the modulus', 'sender', REFUSED, () => [
    swapField('m1', 2, (ek) => Uint8Array.from([0xff, 0xff, ...ek.subarray(2)])),
  ]),
  ...lengths,
]
