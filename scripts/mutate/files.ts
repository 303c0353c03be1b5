/** Test files that several parts of the list name. */
import { protection } from './mutation.ts'

export const connection = protection('test/client/link/connection.test.ts')
export const lies = protection('test/e2e/lies.test.ts')
export const messages = protection('test/deep/adversary/messages.test.ts')
export const operator = protection('test/deep/adversary/operators.test.ts')
export const relayApi = protection('test/client/calls/relay-api.test.ts')
export const corrupt = protection('test/client/transfer/corrupt.test.ts')
export const partial = protection('test/node/partial-folder.test.ts')
export const wrongCode = protection('test/e2e/wrong-code.test.ts')
