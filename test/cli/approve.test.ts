import { describe, expect, test } from 'vitest'
import { type Approvals, approveReceivers, NOBODY_ANSWERS, next, questionOf } from '../../src/cli/approve.ts'
import type { Strangers } from '../../src/cli/strangers.ts'
import type { Terminal } from '../../src/cli/terminal.ts'
import {
  type PairedDevice,
  PairingError,
  type PairingErrorCode,
  type PairingRequest,
  type Sender,
} from '../../src/client/index.ts'

const never = () => new Promise<never>(() => {})

/** A sender at which one device waits, whose approvals end one after another as given: undefined succeeds. */
async function approving(yes: boolean, ...outcomes: (PairingErrorCode | undefined)[]) {
  return approvingOf({ yes, outcomes, comes: true, ends: false })
}

interface Setting {
  readonly yes: boolean
  readonly outcomes: (PairingErrorCode | undefined)[]
  /** A device comes. */
  readonly comes: boolean
  /** No more can come, once one was approved or where none comes. Two could be approved then. */
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
    return approvedDevice('123456')
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
    approveNumber: approve,
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

/** An approved device, by its number. */
function approvedDevice(matchNumber: string): PairedDevice {
  return { matchNumber } as PairedDevice
}

/** A device that waits, by its number. */
function device(matchNumber: string): PairingRequest {
  const nothing = async () => {}
  const approve = async () => approvedDevice(matchNumber)
  const names = { receiverCode: '', name: undefined, fingerprint: '' }
  return { ...names, matchNumber, present: true, ended: never(), approve, deny: nothing }
}

describe('what a person answers', () => {
  const [one, two] = [device('111111'), device('222222')]
  const none: Approvals = {
    receivers: 2,
    yes: false,
    attended: true,
    open: true,
    typing: false,
    waiting: [],
    approved: [],
    done: false,
  }
  const asked: Approvals = { ...none, waiting: [one] }
  const typed: Approvals = { ...none, waiting: [one, two], typing: true }
  const answered = (state: Approvals, answer?: string) => next(state, { is: 'answered', answer })

  test.each(['y', 'Yes', 'YES'])('to compare a number with %s approves that device', (answer) => {
    expect(answered(asked, answer)).toEqual([asked, { tap: one }])
  })

  test.each(['n', 'yess', '', '111111'])('to compare a number with %j denies it, and ends the questions', (answer) => {
    expect(answered(asked, answer)).toEqual([{ ...asked, done: true }, { deny: one }])
  })

  test.each(['222222', '222 222', 'y'])('to type a number with %j approves by what was typed', (answer) => {
    expect(answered(typed, answer)).toEqual([typed, { approve: answer }])
  })

  test('with Enter approves nobody more', () => {
    const waits = { ...none, approved: [approvedDevice('111111')] }
    for (const state of [typed, waits]) expect(answered(state, '')).toEqual([{ ...state, done: true }])
  })

  test('is an error when nobody is there, but where others were approved already it is none', () => {
    expect(() => answered(asked)).toThrow(NOBODY_ANSWERS)
    expect(answered({ ...none, approved: [approvedDevice('111111')] })).toEqual([
      { ...none, approved: [approvedDevice('111111')], attended: false },
    ])
  })

  test('is asked for by the state alone', () => {
    const kinds = [none, asked, typed, { ...none, approved: [approvedDevice('111111')] }, { ...asked, attended: false }]
    expect(kinds.map((state) => questionOf(state, 1)?.kind)).toEqual([
      undefined,
      'approve',
      'number',
      'more',
      undefined,
    ])
    expect(questionOf(typed, 1)?.text).toMatch(/^Others have tried this code\. Type /)
    expect(questionOf(typed, 2)?.text).toMatch(/^2 devices know the code\. Type /)
  })

  test('is waited for so long, and those approved by then are all', () => {
    const late = (state: Approvals) => next(state, { is: 'late', seconds: 60 })
    expect(() => late(none)).toThrow('No device has come within 60 s. The code is of no use any more.')
    expect(() => late(asked)).toThrow('No device was approved within 60 s.')
    const one = { ...asked, approved: [approvedDevice('222222')] }
    expect(late(one)).toEqual([{ ...one, done: true }])
  })

  test('is not needed with --yes, and what comes is approved by its number', () => {
    expect(next({ ...none, yes: true }, { is: 'came', request: one })[1]).toEqual({ approve: '111111' })
    expect(next(none, { is: 'came', request: one })).toEqual([asked, undefined])
  })

  test('no longer concerns a device that was approved, refused or has left', () => {
    const left = new PairingError('receiver_left')
    for (const happened of [
      { is: 'approved', device: approvedDevice('111111') },
      { is: 'refused', number: '111 111' },
      { is: 'left', request: one, error: left },
    ] as const) {
      expect(next(typed, happened)[0].waiting).toEqual([two])
    }
    const error = new PairingError('session_lost')
    expect(() => next({ ...asked, open: false }, { is: 'left', request: one, error })).toThrow(error)
    expect(next({ ...asked, open: false }, { is: 'left', request: one, error: left })[0].waiting).toEqual([])
  })
})
