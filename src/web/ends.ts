import type { PairingErrorCode } from '../client/index.ts'

/** Words for the end of a session or a transfer: a title and a sentence. */
export interface End {
  readonly title: string
  readonly more: string
  /** The same may work later. */
  readonly mayRetry?: true
}

const FULL: End = { title: 'The relay is full', more: 'Try again in a minute.', mayRetry: true }
const RULES: End = { title: 'The relay broke the rules', more: 'Do not use it.' }
const STRANGE: End = { title: 'Something unforeseen went wrong', more: 'Reload the page, and try again.' }

/** By the SDK's codes; a test holds the two together. */
export const ENDS: Readonly<Record<PairingErrorCode, End>> = {
  aborted: { title: 'Stopped here', more: '' },
  access_denied: { title: 'This relay is not for this network', more: '' },
  access_needed: { title: 'This relay asks for a password to send', more: 'Ask its operator.' },
  already_sent: STRANGE,
  at_capacity: FULL,
  attempts_used_up: { title: 'Tried too often', more: 'This code was tried three times from here. Ask for a new one.' },
  cancelled: { title: 'It was stopped there', more: 'The other device stopped it.' },
  closed_by_sender: { title: 'The other device has ended it', more: 'It may not have sent everything.' },
  closing: { title: 'The other device has left', more: 'It takes nothing more.' },
  code_invalid: { title: 'This is not a code', more: 'Check it against the sending device.' },
  code_not_found: {
    title: 'No sender has this code',
    more: 'It may be mistyped, used, or too old. Check it, or ask for a new one.',
  },
  corrupt: { title: 'Something was changed on the way', more: 'What arrived is not what was sent.' },
  declined: { title: 'It was declined there', more: 'The other device said no.' },
  denied: { title: 'The sender said no', more: 'So says the relay. If that was a mistake, ask for a new code.' },
  code_expired: { title: 'The time is over', more: 'Nobody entered the code. Get a new one.' },
  expired: { title: 'The time is over', more: 'Get a new code and start again.' },
  handshake_timeout: {
    title: 'The other device did not answer',
    more: 'Its page may be closed or in the background. Ask for a new code.',
  },
  incomplete: { title: 'Not everything arrived', more: 'It ended too early.' },
  internal: STRANGE,
  no_space: { title: 'There is no room for it', more: 'Free some space there and send it again.' },
  no_such_number: { title: 'No waiting device shows this number', more: 'Look again.' },
  nobody_approved: {
    title: 'Nobody was let in',
    more: 'This code is of no use any more. If you did not expect another device, somebody has seen your code.',
  },
  not_delivered: { title: 'Not confirmed', more: 'The other device ended without saying that it has everything.' },
  number_not_unique: { title: 'Two devices show this number', more: 'Get a new code.' },
  peer_misbehaved: { title: 'The other device broke the rules', more: 'What it sent is not to be trusted.' },
  rate_limited: { title: 'Too many tries from this network', more: 'Wait a minute, then try again.', mayRetry: true },
  receiver_failed: {
    title: 'It could not be taken there',
    more: 'The other device had a problem with it. Send it again.',
  },
  receiver_left: { title: 'The other device has left', more: 'It does not have everything.' },
  relay_misbehaved: RULES,
  relay_redirects: { title: 'The relay has moved', more: 'Open its new address in place of this one.' },
  relay_refused: { title: 'The relay refused', more: 'Try again in a minute.', mayRetry: true },
  relay_unavailable: FULL,
  relay_unreachable: { title: 'The relay cannot be reached', more: 'Check your connection.', mayRetry: true },
  relay_untrusted: { title: 'The relay cannot be trusted', more: 'Its certificate is not valid.' },
  revoked: { title: 'The sender has withdrawn it', more: 'So says the relay.' },
  sender_failed: { title: 'It could not be sent', more: 'The other device had a problem with it.' },
  session_full: { title: 'No room', more: 'This code takes no more devices.' },
  session_lost: {
    title: 'The relay forgot this session',
    more: 'It may have been restarted. Get a new code.',
  },
  shutting_down: { title: 'The relay is restarting', more: 'Get a new code in a moment.' },
  source_changed: { title: 'A file has changed', more: 'It was changed while it was being sent. Choose it again.' },
  source_failed: { title: 'A file cannot be read', more: 'Choose it again, from this device.' },
  superseded: { title: 'Another window took over', more: '' },
  too_many: { title: 'Too many files', more: 'The other device takes no more files than this at once.' },
  typing_required: { title: 'The number has to be typed', more: 'More than one device knows this code.' },
  unconfirmed: {
    title: 'Not confirmed',
    more: 'Everything was sent, but the other device did not confirm it. Look there before you send it again.',
  },
  unsupported: {
    title: 'The other device is of another version',
    more: 'Reload this page, or update the other device.',
  },
  used_up: { title: 'This code was tried too often', more: 'It takes nobody new.' },
  wrong_code: {
    title: 'The codes did not match',
    more: 'Either the code was wrong, or somebody interfered. Ask for a new code.',
  },
}
