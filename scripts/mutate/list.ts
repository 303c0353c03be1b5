import { OPERATOR, SIDES } from './field.ts'
import { BUDGETS, HANDSHAKE, HASHED, LEFT } from './handshake.ts'
import type { Mutation } from './mutation.ts'
import { APPROVALS, PAYLOAD, VIEWS } from './payload.ts'
import { CODES, MEMORY } from './relay.ts'

/** Every protection that `npm run mutate` takes out, by section of the table in test/deep/adversary/README.md. */
export const PROTECTIONS: Readonly<Record<string, readonly Mutation[]>> = {
  'The handshake': HANDSHAKE,
  'What is hashed': HASHED,
  'The payload': PAYLOAD,
  'Budgets and time': BUDGETS,
  'Views, acks and what is held': VIEWS,
  'Rows and approvals': APPROVALS,
  'What is left, and what is told': LEFT,
  'Codes, joins and addresses, at an honest relay': CODES,
  'Frames and memory, at an honest relay': MEMORY,
  'Cases from the field, at the two sides': SIDES,
  'Cases from the field, at the edge of a relay': OPERATOR,
}
