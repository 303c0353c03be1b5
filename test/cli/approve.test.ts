import { describe, expect, test } from 'vitest'
import { approveReceivers } from '../../src/cli/approve.ts'
import type { Strangers } from '../../src/cli/strangers.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { PairingError, type PairingErrorCode, type PairingRequest, type Sender } from '../../src/client/index.ts'

const never = () => new Promise<never>(() => {})

/** A sender at which one device waits, whose approvals end one after another as given: undefined succeeds. */
async function approving(yes: boolean, ...outcomes: (PairingErrorCode | undefined)[]) {
  const approve = async () => {
    const code = outcomes.shift()
    if (code) throw new PairingError(code)
  }
  const request = {
    matchNumber: '123456',
    receiverCode: 'ABCDEF',
    name: undefined,
    fingerprint: '',
    present: true,
    ended: never(),
    approve,
    deny: async () => {},
  } satisfies PairingRequest
  const sender = {
    typingRequired: false,
    verifiedCount: 1,
    approveNumber: () => approve().then(() => request),
    async *requests() {
      yield request
      await never()
    },
  }
  const said: string[] = []
  const asked: string[] = []
  const terminal = {
    say: (line: string) => void said.push(line),
    event: () => {},
    ask: async (kind: string) => {
      asked.push(kind)
      return 'y'
    },
  }
  const strangers = { change: never, usedUp: (why: string) => void said.push(why) }
  const outcome = await approveReceivers(sender as unknown as Sender, terminal as unknown as Terminal, {
    receivers: 1,
    yes,
    strangers: strangers as unknown as Strangers,
    leaving: new AbortController().signal,
  }).then(
    (approved) => approved.length,
    (error: PairingError) => error.code,
  )
  return { outcome, said, asked }
}

describe.each(['relay_unavailable', 'relay_unreachable', 'at_capacity', 'rate_limited'] as const)(
  'an approval that fails with %s',
  (code) => {
    test('is asked about again, when there is a person', async () => {
      const { outcome, asked } = await approving(false, code, undefined)
      expect([outcome, asked]).toEqual([1, ['approve', 'approve']])
    })

    test('ends the session with that error with --yes', async () => {
      const { outcome, asked } = await approving(true, code)
      expect([outcome, asked]).toEqual([code, []])
    })
  },
)
