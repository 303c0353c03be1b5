import type { PairingErrorCode } from '../client/index.ts'

/** Words for the end of a session or a transfer: a title and a sentence. */
export interface End {
  readonly title: string
  readonly more: string
  /** The same may work later. */
  readonly mayRetry: boolean
}

function end(title: string, more = '', mayRetry = false): End {
  return { title, more, mayRetry }
}

const FULL = end('The relay is full', 'Try again in a minute.', true)
const RULES = end('The relay broke the rules', 'Do not use it.')
const STRANGE = end('Something unforeseen went wrong', 'Reload the page, and try again.')

/** By the SDK's codes; a test holds the two together. */
export const ENDS: Readonly<Record<PairingErrorCode, End>> = {
  aborted: end('Stopped here'),
  access_denied: end('This relay is not for this network'),
  access_needed: end('This relay asks for a password to send', 'Ask its operator for it.'),
  already_sent: STRANGE,
  at_capacity: FULL,
  attempts_used_up: end('Tried too often', 'This code was tried three times from here. Ask for a new one.'),
  cancelled: end('It was stopped there', 'The other device stopped it.'),
  closed_by_sender: end('The other device has ended it', 'It may not have sent everything.'),
  closing: end('The other device has left', 'It takes nothing more.'),
  code_invalid: end('This is not a code', 'Check it against the sending device.'),
  code_not_found: end(
    'No sender has this code',
    'It may be mistyped, used, or too old. Check it, or ask for a new one.',
  ),
  corrupt: end('Something was changed on the way', 'What arrived is not what was sent.'),
  declined: end('It was declined there', 'The other device said no.'),
  denied: end('The sender said no', 'So says the relay. If that was a mistake, ask for a new code.'),
  code_expired: end('The time is over', 'Nobody entered the code. Get a new one.'),
  expired: end('The time is over', 'Get a new code and start again.'),
  handshake_timeout: end(
    'The other device did not answer',
    'Its page may be closed or in the background. Ask for a new code.',
  ),
  incomplete: end('Not everything arrived', 'It ended too early.'),
  internal: STRANGE,
  no_space: end('There is no room for it', 'Free some space there and send it again.'),
  no_such_number: end('No waiting device shows this number', 'Look again.'),
  nobody_approved: end(
    'Nobody was let in',
    'This code is of no use any more. If you did not expect another device, somebody has seen your code.',
  ),
  not_delivered: end('Not confirmed', 'The other device ended without saying that it has everything.'),
  number_not_unique: end('Two devices show this number', 'Get a new code.'),
  peer_misbehaved: end('The other device broke the rules', 'What it sent is not to be trusted.'),
  rate_limited: end('Too many tries from this network', 'Wait a minute, then try again.', true),
  receiver_failed: end('It could not be taken there', 'The other device had a problem with it. Send it again.'),
  receiver_left: end('The other device has left', 'It does not have everything.'),
  relay_misbehaved: RULES,
  relay_redirects: end('The relay has moved', 'Open its new address in place of this one.'),
  relay_refused: end('The relay refused', 'Try again in a minute.', true),
  relay_unavailable: FULL,
  relay_unreachable: end('The relay cannot be reached', 'Check your connection.', true),
  relay_untrusted: end('The relay cannot be trusted', 'Its certificate is not valid.'),
  revoked: end('The sender has withdrawn it', 'So says the relay.'),
  sender_failed: end('It could not be sent', 'The other device had a problem with it.'),
  session_full: end('No room', 'This code takes no more devices.'),
  session_lost: end('The relay forgot this session', 'It may have been restarted. Get a new code.'),
  shutting_down: end('The relay is restarting', 'Get a new code in a moment.'),
  source_changed: end('A file has changed', 'It was changed while it was being sent. Choose it again.'),
  source_failed: end('A file cannot be read', 'Choose it again, from this device.'),
  superseded: end('Another window took over'),
  too_many: end('Too many files', 'The other device takes no more files than this at once.'),
  typing_required: end('The number has to be typed', 'More than one device knows this code.'),
  unconfirmed: end(
    'Not confirmed',
    'Everything was sent, but the other device did not confirm it. Look there before you send it again.',
  ),
  unsupported: end('The other device is of another version', 'Reload this page, or update the other device.'),
  used_up: end('This code was tried too often', 'It takes nobody new.'),
  wrong_code: end('The codes did not match', 'Either the code was wrong, or somebody interfered. Ask for a new code.'),
}
