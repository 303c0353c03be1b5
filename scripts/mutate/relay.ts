import { protection } from './mutation.ts'

const bans = protection('test/relay/session/bans.test.ts')
const pending = protection('test/relay/session/pending.test.ts')
const session = protection('test/relay/session/session.test.ts')
const windows = protection('test/relay/channel/windows.test.ts')
const relay = protection('test/relay/relay.test.ts')
const sweep = protection('test/relay/live/sweep.test.ts')
const polling = protection('test/relay/live/polling.test.ts')
const resume = protection('test/relay/live/resume.test.ts')
const intake = protection('test/relay/live/frames.test.ts')
const attach = protection('test/relay/live/attach.test.ts')
const pieces = protection('test/server/websocket/fast-path.test.ts')

const CODE_IN_USE = `if (session.receivers.some((receiver) => receiver.receiverCode === input.receiverCode)) {
    throw new RelayError('receiver_code_in_use')
  }`

export const CODES = [
  bans('five failures of an address (six)', 'is refused as an unknown code is after the fifth spent guess', [
    'return failed.length >= ADDRESS_FAILURES_MAX',
    'return failed.length > ADDRESS_FAILURES_MAX',
  ]),
  bans('… of that address alone', 'is refused as an unknown code is after the fifth spent guess', [
    ': receivers.filter((receiver) => receiver.addressDigest === addressDigest)',
    ': receivers',
  ]),
  bans('… looked at before the receiver code', 'is refused before anything is said of its receiver code', [
    'if (isBanned(session, input.addressDigest) ||',
    `${CODE_IN_USE}\n  if (isBanned(session, input.addressDigest) ||`,
  ]),
  pending('Security 1: who stays away makes room', 'ends as left after 20 s', [
    'presence.until : seenAt) + PENDING_ABSENT_MS',
    'presence.until : seenAt) + Number.POSITIVE_INFINITY',
  ]),
  pending('Relay D2: the oldest that is away makes room', 'takes the place of the oldest that is away', [
    "if (absent) return endReceiver(session, absent, { state: 'left' })",
    '',
  ]),
  pending('Security 3: joins that prove nothing', 'do not use the code up', [
    "return receiver.reason === 'rejected' || receiver.reason === 'handshake_failed'",
    'return true',
  ]),
  pending('who was answered makes way for nobody', 'never takes the place of one that the sender has answered', [
    'const unanswered = pending.filter(({ answered }) => !answered)',
    'const unanswered = pending',
  ]),
  pending('three joins of one address wait', 'pending, beyond which the code is no code to it', [
    'waiting.length >= ADDRESS_PENDING_MAX ||',
    '',
  ]),
  pending('joins of one address', 'however they ended and whatever became of their rows', [
    '|| countedOf(addressDigest).some(hasJoined)',
    '',
  ]),
  session('the pending limit of a session', 'th pending', [
    'if (pending.length < PENDING_MAX) return session',
    'if (pending.length >= 0) return session',
  ]),
  sweep('Security 20: a session that fails', 'goes past a session that fails', [
    'if (error instanceof RelayError) throw error // The sweep',
    'if (error) throw error\n        // The sweep',
  ]),
  relay('Relay D4: sessions of one address', 'is refused beyond the sessions of one client address', [
    '|| counted.some(isFull)',
    '',
  ]),
]

export const MEMORY = [
  windows('Relay D1: windows come with both ends', 'approvals that nobody ever uses do not take it', [
    "receiver.state === 'approved' && there === 2",
    "receiver.state === 'approved'",
  ]),
  windows('Relay D1: the fullest makes room', 'takes from the one that has most', [
    'if (!this.#settings.limitAddresses || fullest === undefined) return undefined',
    'if (fullest !== undefined) return undefined',
  ]),
  windows('Relay D6: the fullest makes room in a transfer', 'takes from receivers that never read', [
    'if (!this.#settings.limitAddresses || fullest === undefined) return undefined',
    'if (fullest !== undefined) return undefined',
  ]),
  windows('the share of one address', 'one source has an eighth of them at most', [
    "return address === '' || this.takenBy(address) + bytes <= this.#share",
    'return address.length >= 0 && bytes >= 0',
  ]),
  windows('the share that windows grow by', 'windows grow by half of the share of their source', [
    'if (!this.#growth.isWithinShare(grant.payer, grown - granted)) return false',
    '',
  ]),
  windows('the budget', 'never holds more than its limit', [
    'return this.#taken + bytes <= this.#limit',
    'return bytes >= 0',
  ]),
  resume('Protocol F1: a writer acks none of its own frames', 'of the writer acks none of its own frames', [
    'const out = await this.#mailboxes.open(this.#out, acked, keepMs)',
    `await this.#mailboxes.ackThrough(this.#out, acked)
    const out = await this.#mailboxes.open(this.#out, acked, keepMs)`,
  ]),
  polling(
    'Protocol F10: who was replaced over HTTP',
    'by which every call of an older one is refused with superseded',
    ["if (attachNameOf(session, party) !== attachment) throw new RelayError('superseded')", ''],
  ),
  polling('Protocol F11: a frame that is gone', 'that was acked is refused with frame_refused', [
    "throw new RelayError('frame_refused', 'this frame was acked')",
    'return undefined',
  ]),
  intake('Protocol F16: payload needs the approval, at the relay', 'is refused with invalid_frame', [
    'return seq <= HANDSHAKE_MAX_SEQ &&',
    'return',
  ]),
  pieces('a frame holds no other bytes alive', 'keeps no byte alive that is not its own', [
    'bytes.length >= WHOLE_READ_BYTES && bytes.length === bytes.buffer.byteLength',
    'bytes.length >= WHOLE_READ_BYTES',
  ]),
  pieces('a frame is in few pieces', 'does not become many pieces when it comes in small reads', [
    'return bytes.length >= WHOLE_READ_BYTES &&',
    'return',
  ]),
  attach('Security 9: how long a first message is', 'is refused with', ['> ATTACH_MAX_BYTES)', '> Number.MAX_VALUE)']),
]
