import type { CreateSessionResponse, JoinResponse } from '../../../src/protocol/responses.ts'
import type { ReceiverState, Role, View } from '../../../src/protocol/view.ts'
import { faultsOf } from './cases.ts'
import { impostorReceiver, impostorSender, secretOf } from './impostors.ts'
import { lie, onFrame } from './operators.ts'
import { type Flying, type Operator, other, type Relay } from './relay.ts'
import { type Outcome, type Plan, play } from './scenario.ts'
import { Seed } from './seed.ts'
import { anyCode } from './swaps.ts'

/** Operators put together at random. What is right for each is not known; what must never be is. */

interface Context {
  readonly seed: Seed
  readonly recorded: Relay
  readonly code: () => string
}

type Maker = (context: Context) => Operator

const role = (seed: Seed): Role => seed.pick(['sender', 'receiver'])
/** Some frame of a pairing: in most cases of the handshake. */
const anyFrame = (seed: Seed) => {
  const [from, seq] = [role(seed), 1 + seed.below(5)]
  return (frame: Flying) => frame.from === from && frame.seq === seq
}
const change = (name: string, becomes: (frame: Flying, seed: Seed, relay: Relay) => readonly Flying[]): Maker => {
  return ({ seed }) => onFrame(name, anyFrame(seed), (frame, relay) => becomes(frame, seed, relay))
}
const withBytes = (frame: Flying, ciphertext: Uint8Array): Flying => ({ ...frame, ciphertext })
const since = (count: number) => {
  let views = 0
  return (_: View) => ++views > count
}
const plugOf = (relay: Relay, of: Role) => (of === 'sender' ? relay.meeting.plug : relay.meeting.guests.at(-1)?.plug)
const anyState = (seed: Seed): ReceiverState => seed.pick(['pending', 'approved', 'denied', 'done', 'left', 'revoked'])
const anyKey = (seed: Seed) => Buffer.from(seed.bytes(32)).toString('base64url')

/** Another answer to the one side or to the other. */
const answering = (seed: Seed, change: <T extends CreateSessionResponse | JoinResponse>(answer: T) => T): Operator => ({
  name: 'answer',
  [seed.below(2) === 0 ? 'created' : 'joined']: change,
})

const MAKERS: Readonly<Record<string, Maker>> = {
  flip: change('flip', (frame, seed) => {
    const bytes = frame.ciphertext.slice()
    bytes[seed.below(bytes.length)] ^= 1 << seed.below(8)
    return [withBytes(frame, bytes)]
  }),
  drop: change('drop', () => []),
  'twice, next': change('twice', (frame) => [frame, frame]),
  'twice, same': change('twice', (frame) => [frame, { ...frame, as: frame.seq }]),
  'before its time': change('gap', (frame, seed) => [{ ...frame, as: frame.seq + 1 + seed.below(2) }]),
  cut: change('cut', (frame, seed) => [
    withBytes(frame, frame.ciphertext.slice(0, 1 + seed.below(frame.ciphertext.length))),
  ]),
  lengthen: change('lengthen', (frame, seed) => [
    withBytes(frame, Buffer.concat([frame.ciphertext, seed.bytes(1 + seed.below(40))])),
  ]),
  noise: change('noise', (frame, seed) => [withBytes(frame, seed.bytes(frame.ciphertext.length))]),
  insert: change('insert', (frame, seed) => [withBytes(frame, seed.bytes(1 + seed.below(100))), frame]),
  splice: change('splice', (frame, seed, relay) => [withBytes(frame, seed.pick(relay.frames).ciphertext)]),
  reflect: change('reflect', (frame, seed, relay) => {
    relay.deliver({ ...frame, from: other(frame.from) })
    return seed.below(2) === 0 ? [] : [frame]
  }),
  delay: change('delay', (frame, seed, relay) => {
    relay.time.setTimeout(() => relay.deliver(frame), seed.below(40_000))
    return []
  }),
  'cut a socket': change('socket', (frame, seed, relay) => {
    plugOf(relay, role(seed))?.drop(seed.pick([1006, 1001, 1011, 4000]))
    return [frame]
  }),
  'close a socket for good': change('close', (frame, seed, relay) => {
    plugOf(relay, role(seed))?.drop(seed.pick([4400, 4401, 4404, 4410, 4001, 4002, 1009]))
    return [frame]
  }),
  'other session': ({ seed, recorded }) =>
    onFrame('other session', anyFrame(seed), (frame) => [
      withBytes(
        frame,
        (recorded.frames.find(({ from, seq }) => from === frame.from && seq === frame.seq) ?? frame).ciphertext,
      ),
    ]),
  'swap two': ({ seed }) => {
    const which = anyFrame(seed)
    let held: Flying | undefined
    return {
      name: 'swap two',
      data(frame) {
        if (which(frame)) {
          held = frame
          return []
        }
        if (!held || held.from !== frame.from) return undefined
        const late = held
        held = undefined
        return [frame, late]
      },
    }
  },
  'row of another kind': ({ seed }) => {
    const row = seed.pick([
      { state: anyState(seed) },
      { publicKey: anyKey(seed) },
      { receiverCode: anyCode(seed) },
      { channel: 1 + seed.below(9) },
      { present: false },
    ])
    const shown = (view: View): View => ({ ...view, receivers: view.receivers.map((each) => ({ ...each, ...row })) })
    return lie(role(seed), shown, since(seed.below(6)))
  },
  'more or fewer rows': ({ seed }) => {
    const count = seed.below(4)
    const shown = (view: View): View => ({
      ...view,
      receivers: Array.from({ length: count }, (_, i) => ({
        ...(view.receivers[0] ?? {
          receiverCode: anyCode(seed),
          state: 'pending',
          publicKey: anyKey(seed),
          present: true,
        }),
        channel: i + 1,
      })),
    })
    return lie(role(seed), shown, since(seed.below(6)))
  },
  'no views': ({ seed }) => lie(role(seed), () => undefined, since(1 + seed.below(5))),
  'closed view': ({ seed }) => {
    const reason = seed.pick(['completed', 'closed_by_sender', 'expired', 'shutting_down'] as const)
    return lie(role(seed), (view) => ({ ...view, state: 'closed', reason }), since(seed.below(8)))
  },
  'channels that lie': ({ seed }) => {
    const numbers = { received: seed.below(7), acked: seed.below(7), window: seed.pick([0, 100, 4096, 2 ** 31]) }
    const shown = (view: View): View => ({ ...view, channels: view.channels.map((each) => ({ ...each, ...numbers })) })
    return lie(role(seed), shown, since(seed.below(6)))
  },
  'acks that lie': ({ seed }) => {
    const [to, add] = [role(seed), seed.pick([-9, 1, 2, 100])]
    return { name: 'ack', ack: (seq, reader) => (reader === to ? seq + add : seq) }
  },
  'another join': ({ seed }) => {
    const lieAboutJoin = seed.pick([
      { publicKey: anyKey(seed) },
      { receiverCode: anyCode(seed) },
      { name: '\u001b[2J\u202e' },
    ])
    return { name: 'join', join: (request) => ({ ...request, ...lieAboutJoin }) }
  },
  'another session id': ({ seed }) => {
    const sessionId = Buffer.from(seed.bytes(16)).toString('base64url')
    return answering(seed, (answer) => ({ ...answer, sessionId }))
  },
  'other limits': ({ seed }) => {
    const change = seed.pick([{ maxFrameBytes: 1 }, { maxFrameBytes: 65_561 }, { windowBytes: 1 }, { maxReceivers: 1 }])
    return answering(seed, (answer) => ({ ...answer, limits: { ...answer.limits, ...change } }))
  },
  'commands refused': ({ seed }) => {
    const answer = seed.pick([
      { status: 204 },
      { status: 409, code: 'decision_made' },
      { status: 410, code: 'session_gone' },
      { status: 500 },
    ])
    return { name: 'refuse', command: () => (seed.below(3) === 0 ? answer : undefined) }
  },
  'impostor receiver': ({ seed }) => impostorReceiver(seed, () => 'WR0NG', {}),
  'impostor sender': ({ seed }) => impostorSender(seed, () => 'WR0NG', {}),
  'impostor receiver with the code': ({ seed, code }) => impostorReceiver(seed, () => secretOf(code()), {}),
  'impostor sender with the code': ({ seed, code }) => impostorSender(seed, () => secretOf(code()), {}),
}

export interface Run {
  readonly program: readonly string[]
  readonly outcome: Outcome
  readonly faults: readonly string[]
}

const TRANSFERS = [[new Uint8Array(70_000).fill(98), new Uint8Array(10)], [new Uint8Array(10).fill(99)]]
const NAMES = Object.keys(MAKERS)

export async function run(number: number, recorded: Relay): Promise<Run> {
  const seed = new Seed('program', number)
  const program = Array.from({ length: 1 + seed.below(4) }, () => seed.pick(NAMES))
  const plan: Plan = {
    seed,
    transfers: TRANSFERS,
    rehearsed: seed.below(8) === 0,
    operators: (_, code) => program.map((name) => clumsy(MAKERS[name]({ seed, recorded, code }))),
  }
  const outcome = await play(plan)
  return { program, outcome, faults: [...faultsOf(outcome, TRANSFERS), ...mismatches(outcome, program)] }
}

/** An operator that cannot make sense of what the one before it left lets it pass. */
function clumsy(operator: Operator): Operator {
  return {
    ...operator,
    data(frame, relay) {
      try {
        return operator.data?.(frame, relay)
      } catch {
        return undefined
      }
    },
  }
}

/** Without the code nobody is verified but the two devices, and they show one number. */
function mismatches({ sender, receiver, relay }: Outcome, program: readonly string[]): string[] {
  const faults: string[] = []
  const knowsCode = program.some((name) => name.endsWith('with the code'))
  if (sender.rows.length > 1) faults.push('more rows than devices')
  if (!knowsCode && receiver.number !== undefined && sender.rows[0] !== receiver.number) faults.push('two numbers')
  const answers = relay.frames.filter(({ from, seq }) => from === 'sender' && seq === 2)
  const rehearsals = relay.frames.filter(
    ({ guest, seq, from }) => from === 'sender' && seq === 2 && guest.state === 'left',
  )
  if (answers.length > sender.rows.length + rehearsals.length) faults.push('m4 without a row')
  return faults
}
