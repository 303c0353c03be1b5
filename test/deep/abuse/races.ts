import { encodeAck, encodeData } from '../../../src/protocol/frame.ts'
import type { Member, Outcome, Target, TargetSocket } from '../../relay/model/targets.ts'
import { publicKey } from '../../support/relay.ts'

/** Operations that can happen at once, and their visible outcome. */
export interface Race {
  readonly what: string
  /** Prepares a session and gives the operations that race, and the look at what came of them. */
  readonly prepare: (target: Target) => Promise<{
    readonly operations: readonly (() => Promise<unknown>)[]
    readonly look: () => Promise<unknown>
  }>
}

const TTL = { ttlSeconds: 30, ms: 30_000 }

class Table {
  readonly target: Target
  readonly sender: Member
  static readonly code = 'sender-code'

  constructor(target: Target, sender: Member) {
    this.target = target
    this.sender = sender
  }

  static async set(target: Target, maxReceivers = 8): Promise<Table> {
    const request = { clientId: 'c', senderCode: Table.code, ttlSeconds: TTL.ttlSeconds, maxReceivers }
    return new Table(target, given(await target.create(request)))
  }

  join(receiverCode: string): Promise<Outcome<Member>> {
    return this.target.join({ senderCode: Table.code, receiverCode, publicKey: publicKey(1) }, '192.0.2.1')
  }

  async joined(receiverCode: string): Promise<Member> {
    return given(await this.join(receiverCode))
  }

  approve(receiverCode: string): Promise<Outcome<unknown>> {
    return this.target.decide(this.sender, receiverCode, { decision: 'approved' })
  }

  /** The sender's view, without the version and the time. */
  async view(): Promise<unknown> {
    const answer = await this.target.view(this.sender)
    if ('refused' in answer) return answer.refused
    const { version: _, expiresInMs: __, ...view } = answer.value
    return { ...view, joinable: view.joinable }
  }
}

/** Operations that are commands; what they answer is part of what is seen. */
function commands(
  what: string,
  prepare: (target: Target) => Promise<{ table: Table; operations: readonly (() => Promise<Outcome<unknown>>)[] }>,
): Race {
  return {
    what,
    prepare: async (target) => {
      const { table, operations } = await prepare(target)
      const said = operations.map((operation) => async () => {
        const answer = await operation()
        return 'refused' in answer ? answer.refused : 'done'
      })
      return { operations: said, look: () => table.view() }
    },
  }
}

export const RACES: readonly Race[] = [
  commands('two joins with one receiver code', async (target) => {
    const table = await Table.set(target)
    return { table, operations: [() => table.join('same'), () => table.join('same')] }
  }),
  commands('a join against the approval that retires the code', async (target) => {
    const table = await Table.set(target, 1)
    await table.joined('first')
    return { table, operations: [() => table.approve('first'), () => table.join('second')] }
  }),
  commands('two approvals of which one is allowed', async (target) => {
    const table = await Table.set(target, 1)
    for (const each of ['first', 'second']) await table.joined(each)
    return { table, operations: [() => table.approve('first'), () => table.approve('second')] }
  }),
  commands('an approval against a denial', async (target) => {
    const table = await Table.set(target)
    await table.joined('first')
    const deny = () => target.decide(table.sender, 'first', { decision: 'denied' })
    return { table, operations: [() => table.approve('first'), deny] }
  }),
  commands('an approval against leaving', async (target) => {
    const table = await Table.set(target)
    const first = await table.joined('first')
    return { table, operations: [() => table.approve('first'), () => target.end(first, 'first')] }
  }),
  commands('done against a revocation', async (target) => {
    const table = await Table.set(target)
    const first = await table.joined('first')
    await table.approve('first')
    return { table, operations: [() => target.end(first, 'first'), () => target.end(table.sender, 'first')] }
  }),
  ...(['join', 'approve', 'retire', 'close'] as const).map((name) =>
    commands(`${name} against expiry`, async (target) => {
      const table = await Table.set(target)
      await table.joined('first')
      const operation = {
        join: () => table.join('second'),
        approve: () => table.approve('first'),
        retire: () => target.retire(table.sender),
        close: () => target.close(table.sender),
      }[name]
      return { table, operations: [operation, () => expiry(target)] }
    }),
  ),
  commands('a join against the close', async (target) => {
    const table = await Table.set(target)
    return { table, operations: [() => table.join('first'), () => target.close(table.sender)] }
  }),
  commands('an approval against the close', async (target) => {
    const table = await Table.set(target)
    await table.joined('first')
    return { table, operations: [() => table.approve('first'), () => target.close(table.sender)] }
  }),
  ...(['reader', 'writer'] as const).map((who) =>
    onSockets(`an ack against the detach of its ${who}`, async (both) => {
      const leaving = who === 'reader' ? both.R : both.S
      return [async () => both.R.say(encodeAck(1, 2)), async () => leaving.cut()]
    }),
  ),
  onSockets('an ack against an attach that takes its socket over', async (both) => [
    async () => both.R.say(encodeAck(1, 2)),
    () => both.target.attach(both.receiver, [{ channel: 1, received: 1, acked: 0 }]),
  ]),
  onSockets('a frame against the detach of its reader', async (both) => [
    async () => both.S.say(encodeData(1, 3, Buffer.from('frame 3'))),
    async () => both.R.cut(),
  ]),
]

interface Both {
  readonly target: Target
  readonly receiver: Member
  readonly S: TargetSocket
  readonly R: TargetSocket
}

/** Two frames are under way. Afterwards both sides resume as honest clients: nothing may be lost, repeated or out of order. */
function onSockets(what: string, racing: (both: Both) => Promise<readonly (() => Promise<unknown>)[]>): Race {
  return {
    what,
    prepare: async (target) => {
      const table = await Table.set(target)
      const receiver = await table.joined('first')
      await table.approve('first')
      const [S, R] = [await target.attach(table.sender, []), await target.attach(receiver, [])]
      for (const seq of [1, 2]) S.say(encodeData(1, seq, Buffer.from(`frame ${seq}`)))
      await target.settle(2)
      const operations = await racing({ target, receiver, S, R })
      const look = async () => {
        const seen = R.data().length
        const again = await target.attach(receiver, [{ channel: 1, received: seen, acked: 0 }])
        const sender = await target.attach(table.sender, [{ channel: 1, received: 0, acked: 0 }])
        await target.settle(2)
        const row = sender.view()?.channels[0]
        for (let seq = (row?.received ?? 0) + 1; seq <= 4; seq++)
          sender.say(encodeData(1, seq, Buffer.from(`frame ${seq}`)))
        await target.settle(2)
        again.say(encodeAck(1, 4))
        await target.settle(2)
        const got = [...R.data(), ...again.data()].map(({ text }) => text)
        return { got, acked: sender.acks().get(1), view: await table.view() }
      }
      return { operations: operations.map((each) => async () => void (await each())), look }
    },
  }
}

/** The deadline passes, and the relay notices when it comes to it. */
async function expiry(target: Target): Promise<Outcome<unknown>> {
  await target.pass(TTL.ms)
  return { value: undefined }
}

function given<T>(outcome: Outcome<T>): T {
  if ('refused' in outcome) throw new Error(`refused: ${outcome.refused}`)
  return outcome.value
}
