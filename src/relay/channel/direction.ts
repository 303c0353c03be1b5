import type { Direction, MailboxKey } from '../ports.ts'
import { type Party, SENDER } from '../session/session.ts'

export function mailboxKey(sessionId: string, channel: number, direction: Direction): MailboxKey {
  // A template would leave a tree of pieces, which takes three times the memory for as long as the mailbox is there.
  return [sessionId, channel, direction].join('/') as MailboxKey
}

/** Both mailboxes of a channel: the sender's, the receiver's. */
export function mailboxKeys(sessionId: string, channel: number): readonly [MailboxKey, MailboxKey] {
  return [mailboxKey(sessionId, channel, 's2r'), mailboxKey(sessionId, channel, 'r2s')]
}

/** The direction in which a role's own data frames travel. */
export function outbound(party: Party): Direction {
  return party.role === 'sender' ? 's2r' : 'r2s'
}

export function inbound(party: Party): Direction {
  return party.role === 'sender' ? 'r2s' : 's2r'
}

export function writerOf(channel: number, direction: Direction): Party {
  return direction === 's2r' ? SENDER : { role: 'receiver', channel }
}

export function readerOf(channel: number, direction: Direction): Party {
  return direction === 's2r' ? { role: 'receiver', channel } : SENDER
}
