import {
  formatMatchNumber,
  type PairedDevice,
  PairingError,
  type PairingErrorCode,
  type PairingRequest,
  type Sender,
} from '../client/index.ts'
import { shownDevice } from '../node/shown.ts'
import type { QuestionKind } from './events.ts'
import { CliError } from './exit.ts'
import { Patience } from './patience.ts'
import type { Strangers } from './strangers.ts'
import type { Terminal } from './terminal.ts'

export const NOBODY_ANSWERS = 'There is nobody to answer. Use --yes to approve without asking.'

/** A sender's approvals: those made, and what a person still has to decide. */
export interface Approvals {
  /** How many devices may be approved. */
  readonly receivers: number
  readonly yes: boolean
  /** Somebody answers. */
  readonly attended: boolean
  /** More devices can come. */
  readonly open: boolean
  /** The number has to be typed. Stays set: a device that made it necessary may leave on purpose. */
  readonly typing: boolean
  readonly waiting: readonly PairingRequest[]
  readonly approved: readonly PairedDevice[]
  /** The person has ended it. */
  readonly done: boolean
}

export type Happening =
  | { readonly is: 'came'; readonly request: PairingRequest }
  | { readonly is: 'approved'; readonly device: PairedDevice }
  | { readonly is: 'left'; readonly request: PairingRequest; readonly error: PairingError }
  | { readonly is: 'refused'; readonly number: string }
  | { readonly is: 'answered'; readonly answer: string | undefined }
  | { readonly is: 'late'; readonly seconds: number | undefined }
  | { readonly is: 'closed' | 'changed' }

/** A call to make: an approval by number, or by a yes to `tap`, or a denial. */
export interface Decision {
  readonly approve?: string
  readonly tap?: PairingRequest
  readonly deny?: PairingRequest
}

/** Returns the state after something has happened, and the decision it means. Throws what ends the command. */
export function next(state: Approvals, happened: Happening): [after: Approvals, decision?: Decision | undefined] {
  const { waiting, approved, typing } = state
  const without = (number: string) => waiting.filter(({ matchNumber }) => matchNumber !== number.replaceAll(/\D/g, ''))
  switch (happened.is) {
    case 'came': {
      const { request } = happened
      return [{ ...state, waiting: [...waiting, request] }, state.yes ? { approve: request.matchNumber } : undefined]
    }
    case 'left': {
      const left = waiting.filter((request) => request !== happened.request)
      // While more can come, the end of the session is told there.
      const isEnd = !state.open && left.length === 0 && approved.length === 0
      if (isEnd && happened.error.code !== 'receiver_left') throw happened.error
      return [{ ...state, waiting: left }]
    }
    case 'approved': {
      const { device } = happened
      return [{ ...state, waiting: without(device.matchNumber), approved: [...approved, device] }]
    }
    case 'refused':
      return [{ ...state, waiting: without(happened.number) }]
    case 'late': {
      if (approved.length > 0) return [{ ...state, done: true }]
      const who = waiting.length > 0 ? 'No device was approved' : 'No device has come'
      throw new CliError(`${who} within ${happened.seconds} s. The code is of no use any more.`, 'not_paired')
    }
    case 'closed':
      return [{ ...state, open: false }]
    case 'changed':
      return [state]
    case 'answered': {
      const { answer } = happened
      const [first] = waiting
      if (answer === undefined && first) throw new CliError(NOBODY_ANSWERS, 'usage')
      if (answer === undefined) return [{ ...state, attended: false }]
      if (!first || (typing && answer === '')) return [{ ...state, done: true }]
      if (typing) return [state, { approve: answer }]
      return /^y(es)?$/i.test(answer) ? [state, { tap: first }] : [{ ...state, done: true }, { deny: first }]
    }
  }
}

/** Returns what to ask in this state, when so many devices have proved that they know the code. */
export function questionOf(
  { waiting, approved, attended, typing }: Approvals,
  verified: number,
): { kind: QuestionKind; text: string } | undefined {
  const [first] = waiting
  if (!attended || (!first && approved.length === 0)) return undefined
  if (!first) return { kind: 'more', text: 'Waiting for more devices. Press Enter to send to those approved now. ' }
  if (!typing)
    return { kind: 'approve', text: `Does the other device show ${formatMatchNumber(first.matchNumber)}? [y/N] ` }
  const why = verified > 1 ? `${verified} devices know the code.` : 'Others have tried this code.'
  return { kind: 'number', text: `${why} Type the number that the right one shows (Enter: none): ` }
}

interface ApproveOptions {
  readonly receivers: number
  readonly yes?: boolean | undefined
  /** Seconds in which something has to happen. Those approved by then are all. */
  readonly timeout?: number | undefined
  readonly strangers: Strangers
  /** Aborted when this side leaves. */
  readonly leaving: AbortSignal
}

/** Lets the person decide about each verified receiver. Resolves with those approved. */
export async function approveReceivers(
  sender: Sender,
  terminal: Terminal,
  { receivers, yes = false, timeout, strangers, leaving }: ApproveOptions,
): Promise<readonly PairedDevice[]> {
  const requests = sender.requests()
  let coming = requests.next()
  const attended = !yes || process.stdin.isTTY === true
  let state: Approvals = { receivers, yes, attended, open: true, typing: false, waiting: [], approved: [], done: false }
  const patience = new Patience(timeout)
  const late = patience.ended.then((): Happening => ({ is: 'late', seconds: timeout }))
  while (!isOver(state)) {
    if (state.waiting.length > 0 && sender.typingRequired) state = { ...state, typing: true }
    const happened = await firstOf(sender, terminal, state, strangers, [coming, late])
    if (happened.is !== 'changed') patience.renew()
    if (happened.is === 'came') coming = requests.next()
    if (happened.is === 'closed' && !leaving.aborted) {
      const none = state.approved.length === 0
      strangers.usedUp(none ? 'The code was tried too often and is used up.' : 'No more devices can be approved.')
    }
    tell(happened, sender.verifiedCount, terminal)
    const [after, decision] = next(state, happened)
    state = after
    if (!decision) continue
    const outcome = await carryOut(decision, sender, terminal, happened.is === 'answered')
    ;[state] = next(state, outcome)
    const more = receivers - state.approved.length
    if (outcome.is !== 'approved' || more === 0) continue
    const rest = more === 1 ? 'One' : String(more)
    terminal.say(`Approved ${formatMatchNumber(outcome.device.matchNumber)}. ${rest} more may be approved.`)
  }
  // Nothing that still comes is of interest, but its errors must not go unheard.
  coming.catch(() => {})
  patience.stop()
  return state.approved
}

function isOver({ receivers, attended, open, waiting, approved, done }: Approvals): boolean {
  return done || approved.length >= receivers || (!open && (waiting.length === 0 || !attended))
}

/** Asks, and resolves with what happens first. The question is withdrawn then. */
async function firstOf(
  sender: Sender,
  terminal: Terminal,
  state: Approvals,
  strangers: Strangers,
  [coming, late]: readonly [coming: Promise<IteratorResult<PairingRequest, void>>, late: Promise<Happening>],
): Promise<Happening> {
  const { waiting, open, typing } = state
  const left = async (request: PairingRequest): Promise<Happening> => {
    return { is: 'left', request, error: await request.ended }
  }
  const happenings = [late, ...waiting.map(left)]
  if (open) {
    const came = ({ value }: IteratorResult<PairingRequest, void>): Happening =>
      value ? { is: 'came', request: value } : { is: 'closed' }
    happenings.push(coming.then(came, (error) => lastOf(error, waiting)))
  }
  const question = questionOf(state, sender.verifiedCount)
  const withdraw = new AbortController()
  if (question) {
    const asking = terminal.ask(question.kind, question.text, withdraw.signal)
    happenings.push(asking.then((answer) => ({ is: 'answered', answer })))
  }
  const typingRequired = async (): Promise<Happening> => {
    while (!sender.typingRequired && !withdraw.signal.aborted) await strangers.change()
    return { is: 'changed' }
  }
  if (waiting.length > 0 && !typing) happenings.push(typingRequired())
  try {
    return await Promise.race(happenings)
  } finally {
    withdraw.abort()
  }
}

/** The end of the requests, when there are devices to decide about that came before others used the code up. */
function lastOf(error: unknown, waiting: readonly PairingRequest[]): Happening {
  if (!(error instanceof PairingError) || error.code !== 'used_up' || waiting.length === 0) throw error
  return { is: 'closed' }
}

/** Tells what a device did. */
function tell(happened: Happening, verified: number, terminal: Terminal): void {
  if (happened.is === 'came') {
    const { matchNumber, receiverCode, name, fingerprint } = happened.request
    const line = `A device has proved that it knows the code. Its number: ${formatMatchNumber(matchNumber)}`
    terminal.event('request', { matchNumber, receiverCode, name, fingerprint, verified }, line)
    // On a line of its own, which no name can leave: the relay may have written it.
    const called = shownDevice(name ?? '')
    if (called !== '') terminal.say(`    It calls itself ${called}`, 'answer')
  }
  if (happened.is === 'left' && happened.error.code === 'receiver_left') {
    const { matchNumber } = happened.request
    terminal.event('left', { matchNumber }, `The device with ${formatMatchNumber(matchNumber)} has left.`)
  }
}

/** Errors that may be gone a moment later: a person is asked again. */
const PASSING: readonly PairingErrorCode[] = ['relay_unavailable', 'relay_unreachable', 'at_capacity', 'rate_limited']
/** Errors that another answer can put right. */
const MISTAKES: readonly PairingErrorCode[] = ['no_such_number', 'number_not_unique', 'typing_required']

/**
 * Carries a decision out, and tells the person why that did not work. Where nobody was asked, nobody would try again: a
 * relay that cannot carry it out now ends the session with that error.
 */
async function carryOut(
  { approve, tap, deny }: Decision,
  sender: Sender,
  terminal: Terminal,
  asked: boolean,
): Promise<Happening> {
  try {
    if (deny) {
      await deny.deny()
      terminal.event('denied', {})
      return { is: 'refused', number: deny.matchNumber }
    }
    // A tap, which the SDK refuses as soon as a second device knows the code.
    const device = await (tap ? tap.approve() : sender.approveNumber(approve ?? ''))
    terminal.event('approved', { matchNumber: device.matchNumber })
    return { is: 'approved', device }
  } catch (error) {
    if (deny || !(error instanceof PairingError)) throw error
    terminal.event('not_approved', { code: error.code })
    const isPassing = PASSING.includes(error.code)
    if (isPassing && !asked) throw error
    terminal.say(error.message)
    if (isPassing || MISTAKES.includes(error.code)) return { is: 'changed' }
    return { is: 'refused', number: tap?.matchNumber ?? approve ?? '' }
  }
}
