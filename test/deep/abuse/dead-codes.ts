import { EPITAPH_MS } from '../../../src/protocol/limits.ts'
import type { CreateSessionRequest, DecisionRequest } from '../../../src/protocol/requests.ts'
import type { Member } from '../../relay/model/targets.ts'
import type { FakeClock } from '../../support/fake-clock.ts'
import { publicKey } from '../../support/relay.ts'
import type { RunningRelay } from '../../support/server.ts'

/** Every way a sender code can be of no use. A further one is a further line. */

/** Where the receivers come from that made a code of no use, and whoever asks. */
const SOURCE = '127.0.0.1'

/** When a code was made, the oldest first: what time has done to it since is part of what it is. */
const AGES = ['forgotten', 'expired and noticed', 'expired', 'now'] as const

interface Maker {
  readonly code: string
  open(request?: Partial<CreateSessionRequest>): Promise<Member>
  /** A receiver joins, and is decided about. */
  join(sender: Member, receiverCode: string, decision?: DecisionRequest): Promise<Member>
  readonly relay: RunningRelay['relay']
}

interface DeadCode {
  readonly what: string
  readonly age: (typeof AGES)[number]
  readonly make: (maker: Maker) => Promise<unknown>
}

export const DEAD_CODES: readonly DeadCode[] = [
  { what: 'unknown', age: 'now', make: async () => {} },
  { what: 'expired and not noticed yet', age: 'expired', make: ({ open }) => open() },
  { what: 'expired, in its epitaph', age: 'expired and noticed', make: ({ open }) => open() },
  { what: 'expired and forgotten', age: 'forgotten', make: ({ open }) => open() },
  { what: 'closed, in its epitaph', age: 'now', make: async (m) => close(m, await m.open()) },
  { what: 'closed and forgotten', age: 'forgotten', make: async (m) => close(m, await m.open()) },
  { what: 'completed', age: 'now', make: completed },
  { what: 'retired by its sender', age: 'now', make: async (m) => retire(m, await m.open()) },
  { what: 'retired by an approval', age: 'now', make: async (m) => m.join(await once(m), 'first', APPROVED) },
  { what: 'retired after a denial', age: 'now', make: deniedAndRetired },
  { what: 'used up by joins', age: 'now', make: usedUp },
  { what: 'banned for this source', age: 'now', make: banned },
]

const APPROVED = { decision: 'approved' } as const
const DENIED = { decision: 'denied' } as const
const once = (m: Maker) => m.open({ maxReceivers: 1 })
const close = (m: Maker, { sessionId, token }: Member) => m.relay.closeSession(sessionId, token)
const retire = (m: Maker, { sessionId, token }: Member) => m.relay.retireCode(sessionId, token)

async function completed(m: Maker): Promise<void> {
  const sender = await once(m)
  const receiver = await m.join(sender, 'first', APPROVED)
  await m.relay.endReceiver(receiver.sessionId, receiver.token, 'first')
  await close(m, sender)
}

async function deniedAndRetired(m: Maker): Promise<void> {
  const sender = await m.open()
  await m.join(sender, 'first', DENIED)
  await retire(m, sender)
}

async function usedUp(m: Maker): Promise<void> {
  const sender = await m.open()
  for (let i = 0; i < 32; i++) await m.join(sender, i === 0 ? 'first' : `receiver-${i}`, DENIED)
}

async function banned(m: Maker): Promise<void> {
  const sender = await m.open()
  const failed = { ...DENIED, reason: 'handshake_failed' } as const
  for (let i = 0; i < 5; i++) await m.join(sender, i === 0 ? 'first' : `receiver-${i}`, failed)
}

/** Makes one code of each kind in a relay, and gives them by kind. All are of one length. */
export async function makeDeadCodes({ relay, tick }: RunningRelay, clock: FakeClock): Promise<Map<string, string>> {
  const codes = new Map<string, string>()
  for (const age of AGES) {
    for (const { what, make } of DEAD_CODES.filter((each) => each.age === age)) {
      const code = `code-${String(codes.size).padStart(3, '0')}`
      codes.set(what, code)
      await make(makerOf(relay, code))
    }
    if (age === 'now') break
    clock.advance(30_000)
    if (age === 'expired') continue
    await tick()
    if (age === 'expired and noticed') continue
    clock.advance(EPITAPH_MS)
    await tick()
  }
  return codes
}

function makerOf(relay: RunningRelay['relay'], code: string): Maker {
  return {
    code,
    relay,
    open: (request) => relay.createSession({ clientId: code, senderCode: code, ttlSeconds: 30, ...request }, ''),
    join: async (sender, receiverCode, decision) => {
      const receiver = await relay.join({ senderCode: code, receiverCode, publicKey: publicKey(1) }, SOURCE)
      if (decision) await relay.decide(sender.sessionId, sender.token, receiverCode, decision)
      return receiver
    },
  }
}
