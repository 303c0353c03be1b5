import { cleanText, formatMatchNumber, PairingError, type PairingRequest, type Sender } from '../client/index.ts'
import { CliError } from './exit.ts'
import type { Terminal } from './terminal.ts'

interface ApproveOptions {
  readonly receivers: number
  readonly yes?: boolean
}

/** Lets the person decide about each verified receiver. Resolves with the number approved. */
export async function approveReceivers(sender: Sender, terminal: Terminal, options: ApproveOptions): Promise<number> {
  const requests = sender.requests()
  const waiting: PairingRequest[] = []
  let next = requests.next()
  let approved = 0
  let attended = !options.yes || process.stdin.isTTY === true
  const approve = async (
    matchNumber: string,
    how: () => Promise<unknown> = () => sender.approveNumber(matchNumber),
  ) => {
    const outcome = await decide(terminal, how)
    if (outcome === 'approved') approved++
    if (outcome === 'no such device') return
    const index = waiting.findIndex((request) => request.matchNumber === matchNumber.replaceAll(/\D/g, ''))
    if (index >= 0) waiting.splice(index, 1)
  }
  while (approved < options.receivers) {
    const question = attended ? questionFor(sender, waiting, approved) : undefined
    const withdraw = new AbortController()
    const answered = question && terminal.ask(question, withdraw.signal).then((answer) => ({ answer }))
    const event = await Promise.race([next.then((result) => ({ result })), ...(answered ? [answered] : [])])
    withdraw.abort()
    if ('result' in event) {
      if (event.result.done) break
      const request = event.result.value
      next = requests.next()
      waiting.push(request)
      announce(request, sender.verifiedCount, terminal)
      if (options.yes) await approve(request.matchNumber)
    } else if (event.answer === undefined) {
      attended = false
      if (question === MORE_DEVICES) continue
      throw new CliError('There is nobody to answer. Use --yes to approve without asking.', 'usage')
    } else if (question === MORE_DEVICES) {
      break
    } else if (sender.verifiedCount > 1) {
      if (event.answer === '') break
      await approve(event.answer)
    } else if (/^y(es)?$/i.test(event.answer)) {
      const [request] = waiting
      // One tap, which the SDK refuses as soon as a second device knows the code.
      if (request) await approve(request.matchNumber, () => request.approve())
    } else {
      await waiting[0]?.deny()
      terminal.event('denied')
      break
    }
  }
  // What still comes is of no interest, but its errors must not go unheard.
  next.catch(() => {})
  return approved
}

const MORE_DEVICES = 'Waiting for more devices. Press Enter to send to those approved now. '

function questionFor(sender: Sender, waiting: readonly PairingRequest[], approved: number): string | undefined {
  const [first] = waiting
  if (!first) return approved > 0 ? MORE_DEVICES : undefined
  if (sender.verifiedCount === 1) return `Does the other device show ${formatMatchNumber(first.matchNumber)}? [y/N] `
  return `${sender.verifiedCount} devices know the code. Type the number that the right one shows (Enter: none): `
}

function announce(request: PairingRequest, count: number, terminal: Terminal): void {
  const { matchNumber, receiverCode, name, fingerprint } = request
  terminal.event('request', { matchNumber, receiverCode, name, fingerprint, verified: count })
  const called = name === undefined ? '' : ` (it calls itself "${cleanText(name)}")`
  terminal.say(`A device has proved that it knows the code${called}. Its number: ${formatMatchNumber(matchNumber)}`)
}

/** Tries an approval; tells the person why it did not work. */
async function decide(
  terminal: Terminal,
  approve: () => Promise<unknown>,
): Promise<'approved' | 'no such device' | 'not approved'> {
  try {
    await approve()
    terminal.event('approved')
    return 'approved'
  } catch (error) {
    if (!(error instanceof PairingError)) throw error
    terminal.event('not_approved', { code: error.code })
    terminal.say(error.message)
    return error.code === 'no_such_number' ? 'no such device' : 'not approved'
  }
}
