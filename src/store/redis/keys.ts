import { hash } from 'node:crypto'
import type { MailboxKey } from '../../relay/ports.ts'

/** All that relays have in Redis, by name. The hash tag of a session's keys is its id: a cluster has them on one node. */
export const KEYS = {
  session: (sessionId: string) => `pairlay:{${sessionId}}`,
  /** The keys of a mailbox: what is known of it, its frames, their costs. */
  mailbox: (key: MailboxKey): [string, string, string] => {
    const [sessionId, channel, direction] = key.split('/')
    const mailbox = `pairlay:{${sessionId}}:${channel}:${direction}`
    return [mailbox, `${mailbox}:frames`, `${mailbox}:costs`]
  },
  code: (senderCode: string) => `pairlay:code:${senderCode}`,
  /** Sessions of one client. It names itself as it likes; its hash is as good a name for the key. */
  client: (clientId: string) => `pairlay:client:${hash('sha256', clientId, 'base64url')}`,
  address: (addressDigest: string) => `pairlay:source:${addressDigest}`,
  /** All sessions by their next deadline. Any node may sweep them. */
  deadlines: 'pairlay:deadlines',
  /** A key that is never there: asked for so that a code that is unknown takes as many steps as one that is not. */
  nowhere: 'pairlay:nowhere',
  count: (digest: string) => `pairlay:count:${digest}`,
  addressKey: 'pairlay:source-key',
  schema: 'pairlay:schema',
  nodes: 'pairlay:nodes',
  /** How far the server's clock is from the one that all nodes go by, in milliseconds. Not there, it is not. */
  clockShift: 'pairlay:clock-shift',
}

/** The channel that wakes are published on. */
export const WAKES = 'pairlay:wakes'
