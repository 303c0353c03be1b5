import { expect, test } from 'vitest'
import { join } from '../../src/relay/session/joining.ts'
import { attach } from '../../src/relay/session/presence.ts'
import { type OpenSession, SENDER, type Session } from '../../src/relay/session/session.ts'
import { closeBySender, decide, leave } from '../../src/relay/session/transitions.ts'
import { KEYS } from '../../src/store/redis/keys.ts'
import { SCHEMA } from '../../src/store/redis/schema.ts'
import { newReceiver, newSession } from '../support/session-values.ts'

/** The names of an object's fields, as they are stored. */
const fieldsOf = (value: unknown) =>
  Object.keys(JSON.parse(JSON.stringify(value)))
    .toSorted()
    .join(' ')

/** A session with a receiver of each form, of which two are attached. */
function session(): OpenSession {
  let open = newSession({}, 0)
  for (const name of ['approved', 'done', 'denied', 'pending']) open = join(open, newReceiver(name), 0)
  open = decide(decide(open, 'approved', 'approved', 0), 'done', 'approved', 0)
  open = decide(leave(open, 2, 0), 'denied', 'rejected', 0)
  open = attach(open, SENDER, { via: 'socket', node: 'a node' }, 0)
  return attach(open, { role: 'receiver', channel: 1 }, { via: 'http', until: 1 }, 0)
}

const receiversOf = ({ receivers }: Session) =>
  Object.fromEntries(receivers.map((each) => [`${each.state} receiver`, fieldsOf(each)]))

/** A node of another version reads these: with a change here grows the number, and CHANGELOG.md says so. */
test('the form of what is in Redis is the one that its number stands for', () => {
  const open = session()
  const closed = closeBySender(open, 0)
  const presences = [open.presence, open.receivers.flatMap((each) => ('presence' in each ? [each.presence] : []))[0]]
  expect({
    SCHEMA,
    keys: [KEYS.session('i'), ...KEYS.mailbox('i/1/s2r'), KEYS.code('c'), KEYS.deadlines, KEYS.clockShift],
    open: fieldsOf(open),
    ...receiversOf(open),
    presences: presences.map(fieldsOf),
    closed: fieldsOf(closed),
    whenClosed: receiversOf(closed),
  }).toMatchInlineSnapshot(`
    {
      "SCHEMA": "1",
      "approved receiver": "addressDigest answered attaches channel joinedAt name presence profile publicKey receiverCode seenAt shared state tokenDigest",
      "closed": "addressDigest clientId forgetAt id joins reason receivers senderCode state tokenDigest version",
      "denied receiver": "addressDigest channel reason receiverCode state tokenDigest",
      "done receiver": "addressDigest channel receiverCode state tokenDigest",
      "keys": [
        "pairlay:{i}",
        "pairlay:{i}:1:s2r",
        "pairlay:{i}:1:s2r:frames",
        "pairlay:{i}:1:s2r:costs",
        "pairlay:code:c",
        "pairlay:deadlines",
        "pairlay:clock-shift",
      ],
      "open": "addressDigest attaches clientId expiresAt forgottenJoins id joins maxReceivers presence profile receivers retired senderCode state tokenDigest ttlSeconds version",
      "pending receiver": "addressDigest answered attaches channel joinedAt name profile publicKey receiverCode seenAt shared state tokenDigest",
      "presences": [
        "generation node via",
        "generation until via",
      ],
      "whenClosed": {
        "approved receiver": "channel receiverCode state tokenDigest",
        "denied receiver": "addressDigest channel reason receiverCode state tokenDigest",
        "done receiver": "addressDigest channel receiverCode state tokenDigest",
        "pending receiver": "channel receiverCode state tokenDigest",
      },
    }
  `)
})
