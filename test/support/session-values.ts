import type { NewReceiver } from '../../src/relay/session/joining.ts'
import type { OpenSession } from '../../src/relay/session/session.ts'
import { type NewSession, openSession } from '../../src/relay/session/transitions.ts'

/** A session that nobody has joined, with these fields of its own. */
export function newSession(fields: Partial<NewSession>, now: number): OpenSession {
  const names = { id: 'id', clientId: 'client', addressDigest: 'its address', senderCode: 'code' }
  const rest = { tokenDigest: 'digest of sender', profile: 'AQ', ttlSeconds: 60, maxReceivers: 8 }
  return openSession({ ...names, ...rest, ...fields }, now)
}

/** A receiver that joins, from an address of its own unless one is given. */
export function newReceiver(receiverCode: string, addressDigest = `address of ${receiverCode}`): NewReceiver {
  const tokenDigest = `digest of ${receiverCode}`
  return { receiverCode, tokenDigest, publicKey: 'a key', profile: 'AQ', name: 'a name', addressDigest }
}
