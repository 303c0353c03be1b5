import { describe, expect, test } from 'vitest'
import { approveReceivers } from '../../src/cli/approve.ts'
import type { Strangers } from '../../src/cli/strangers.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import { PairingError, type PairingErrorCode, type PairingRequest, type Sender } from '../../src/client/index.ts'

const never = () => new Promise<never>(() => {})

/** A sender at which one device waits, whose approvals end one after another as given: undefined succeeds. */
async function approving(yes: boolean, ...outcomes: (PairingErrorCode | undefined)[]) {
  return approvingOf({ yes, outcomes, comes: true, ends: false })
}

interface Setting {
  readonly yes: boolean
  readonly outcomes: (PairingErrorCode | undefined)[]
  /** Whether a device comes. */
  readonly comes: boolean
  /** Whether no more can come, once one was approved or where none comes. Two could be approved then. */
  readonly ends: boolean
}

async function approvingOf({ yes, outcomes, comes, ends }: Setting) {
  let approved = () => {}
  const over = new Promise<void>((resolve) => {
    approved = resolve
  })
  if (!comes) approved()
  const approve = async () => {
    const code = outcomes.shift()
    if (code) throw new PairingError(code)
    approved()
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
      if (comes) yield request
      await (ends ? over : never())
    },
  }
  const said: string[] = []
  const asked: string[] = []
  const terminal = {
    say: (line: string) => void said.push(line),
    event: () => {},
    ask: async (kind: string) => {
      asked.push(kind)
      return kind === 'more' ? never() : 'y'
    },
  }
  const strangers = { change: never, usedUp: (why: string) => void said.push(why) }
  const outcome = await approveReceivers(sender as unknown as Sender, terminal as unknown as Terminal, {
    receivers: ends ? 2 : 1,
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

describe('a code that takes no more devices', () => {
  test('is said to be used up when nobody was approved', async () => {
    const { outcome, said } = await approvingOf({ yes: false, outcomes: [], comes: false, ends: true })
    expect([outcome, said]).toEqual([0, ['The code was tried too often and is used up.']])
  })

  test('is said to let no more be approved when somebody was', async () => {
    const { outcome, said } = await approvingOf({ yes: false, outcomes: [], comes: true, ends: true })
    expect([outcome, said.at(-1)]).toEqual([1, 'No more devices can be approved.'])
  })
})
