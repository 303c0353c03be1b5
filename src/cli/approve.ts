import {
  formatMatchNumber,
  PairingError,
  type PairingErrorCode,
  type PairingRequest,
  type Sender,
} from '../client/index.ts'
import type { QuestionKind } from './events.ts'
import { CliError } from './exit.ts'
import { shownDevice } from './shown.ts'
import type { Strangers } from './strangers.ts'
import type { Terminal } from './terminal.ts'

export const NOBODY_ANSWERS = 'There is nobody to answer. Use --yes to approve without asking.'

interface ApproveOptions {
  readonly receivers: number
  readonly yes?: boolean | undefined
  readonly strangers: Strangers
  /** Aborted when this side leaves. */
  readonly leaving: AbortSignal
}

interface Question {
  readonly kind: QuestionKind
  readonly text: string
}

type Happening =
  | { readonly next: IteratorResult<PairingRequest, void> }
  | { readonly changed: true }
  | { readonly ended: PairingRequest; readonly error: PairingError }
  | { readonly answer: string | undefined }

/** Lets the person decide about each verified receiver. Resolves with those approved. */
export async function approveReceivers(
  sender: Sender,
  terminal: Terminal,
  options: ApproveOptions,
): Promise<readonly PairingRequest[]> {
  const { strangers } = options
  const requests = sender.requests()
  const approved: PairingRequest[] = []
  let waiting: readonly PairingRequest[] = []
  /** Undefined when nobody can come any more. */
  let next: Promise<IteratorResult<PairingRequest, void>> | undefined = requests.next()
  let attended = !options.yes || process.stdin.isTTY === true
  // Once it was necessary it stays so: who made it necessary may have left on purpose.
  let typing = false
  const approve = async (how: () => Promise<PairingRequest>, shown: string, asked = true) => {
    const outcome = await decide(terminal, asked, how)
    if (outcome === 'try again') return
    waiting = waiting.filter(({ matchNumber }) => matchNumber !== shown.replaceAll(/\D/g, ''))
    if (outcome === 'over') return
    approved.push(outcome)
    const more = options.receivers - approved.length
    const rest = more === 1 ? 'One' : String(more)
    if (more > 0) terminal.say(`Approved ${formatMatchNumber(outcome.matchNumber)}. ${rest} more may be approved.`)
  }
  while (approved.length < options.receivers && (next || waiting.length > 0)) {
    const required = () => typing || (waiting.length > 0 && sender.typingRequired)
    typing = required()
    const question = attended ? questionFor(sender, waiting, approved.length, typing) : undefined
    if (!next && !question) break
    const withdraw = new AbortController()
    const happening: Promise<Happening>[] = waiting.map(async (ended) => ({ ended, error: await ended.ended }))
    if (next)
      happening.push(
        next.then(
          (result) => ({ next: result }),
          (error) => lastOf(error, waiting),
        ),
      )
    if (question) {
      const asking = terminal.ask(question.kind, question.text, withdraw.signal)
      happening.push(asking.then((answer) => ({ answer })))
    }
    let happened: Happening
    do {
      const changed = strangers.change().then(() => ({ changed: true }) as const)
      happened = await Promise.race([...happening, changed])
      // A question is asked anew only when it is another one.
    } while ('changed' in happened && typing === required())
    withdraw.abort()
    if ('changed' in happened) continue
    if ('ended' in happened) {
      const { ended, error } = happened
      waiting = waiting.filter((request) => request !== ended)
      reportEnd(ended, error, terminal)
      // While more can come, the end of the session is told there.
      if (!next && waiting.length === 0 && approved.length === 0 && error.code !== 'receiver_left') throw error
    } else if ('next' in happened) {
      if (happened.next.done) {
        next = undefined
        const why =
          approved.length === 0 ? 'The code was tried too often and is used up.' : 'No more devices can be approved.'
        if (!options.leaving.aborted) strangers.usedUp(why)
        continue
      }
      const request = happened.next.value
      next = requests.next()
      waiting = [...waiting, request]
      announce(request, sender.verifiedCount, terminal)
      if (options.yes) await approve(() => sender.approveNumber(request.matchNumber), request.matchNumber, false)
    } else {
      const { answer } = happened
      if (answer === undefined) {
        attended = false
        if (question === MORE_DEVICES) continue
        throw new CliError(NOBODY_ANSWERS, 'usage')
      }
      if (question === MORE_DEVICES) break
      const [first] = waiting
      if (typing) {
        if (answer === '') break
        await approve(() => sender.approveNumber(answer), answer)
      } else if (first && /^y(es)?$/i.test(answer)) {
        // One tap, which the SDK refuses as soon as a second device knows the code.
        await approve(() => first.approve().then(() => first), first.matchNumber)
      } else {
        await first?.deny()
        terminal.event('denied', {})
        break
      }
    }
  }
  // What still comes is of no interest, but its errors must not go unheard.
  next?.catch(() => {})
  return approved
}

const MORE_DEVICES: Question = {
  kind: 'more',
  text: 'Waiting for more devices. Press Enter to send to those approved now. ',
}

function questionFor(
  sender: Sender,
  waiting: readonly PairingRequest[],
  approved: number,
  typing: boolean,
): Question | undefined {
  const [first] = waiting
  if (!first) return approved > 0 ? MORE_DEVICES : undefined
  if (typing) {
    const count = sender.verifiedCount
    const why = count > 1 ? `${count} devices know the code.` : 'Others have tried this code.'
    return { kind: 'number', text: `${why} Type the number that the right one shows (Enter: none): ` }
  }
  return { kind: 'approve', text: `Does the other device show ${formatMatchNumber(first.matchNumber)}? [y/N] ` }
}

/** The end of the requests, when there are devices to decide about that came before others used the code up. */
function lastOf(error: unknown, waiting: readonly PairingRequest[]): Happening {
  if (!(error instanceof PairingError) || error.code !== 'used_up' || waiting.length === 0) throw error
  return { next: { done: true, value: undefined } }
}

function announce(request: PairingRequest, count: number, terminal: Terminal): void {
  const { matchNumber, receiverCode, name, fingerprint } = request
  terminal.event('request', { matchNumber, receiverCode, name, fingerprint, verified: count })
  terminal.say(`A device has proved that it knows the code. Its number: ${formatMatchNumber(matchNumber)}`)
  // On a line of its own, which no name can leave: the relay may have written it.
  const called = shownDevice(name ?? '')
  if (called !== '') terminal.say(`    It calls itself ${called}`)
}

function reportEnd({ matchNumber }: PairingRequest, { code }: PairingError, terminal: Terminal): void {
  if (code !== 'receiver_left') return
  terminal.event('left', { matchNumber })
  terminal.say(`The device with ${formatMatchNumber(matchNumber)} has left.`)
}

/** What may work a moment later: a person is asked again. */
const PASSING: readonly PairingErrorCode[] = ['relay_unavailable', 'relay_unreachable', 'at_capacity', 'rate_limited']
/** What another answer can put right. */
const MISTAKES: readonly PairingErrorCode[] = ['no_such_number', 'number_not_unique', 'typing_required']

/**
 * Tries an approval; tells the person why it did not work, and whether it can still work. Where nobody was asked, nobody
 * would try again: a relay that cannot carry it out now ends the session with that error.
 */
async function decide(
  terminal: Terminal,
  asked: boolean,
  approve: () => Promise<PairingRequest>,
): Promise<PairingRequest | 'try again' | 'over'> {
  try {
    const request = await approve()
    terminal.event('approved', { matchNumber: request.matchNumber })
    return request
  } catch (error) {
    if (!(error instanceof PairingError)) throw error
    terminal.event('not_approved', { code: error.code })
    const isPassing = PASSING.includes(error.code)
    if (isPassing && !asked) throw error
    terminal.say(error.message)
    return isPassing || MISTAKES.includes(error.code) ? 'try again' : 'over'
  }
}
