import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { RelayError } from '../../relay/errors.ts'
import type { Refusals } from '../http/refusals.ts'
import type { ClientAddresses } from './client-address.ts'
import { ConcurrencyLimit } from './concurrency-limit.ts'
import { reset } from './reset.ts'

/** Connections beyond the maximum that are still answered with a refusal. The system has descriptors left for them. */
const ANSWERED_BEYOND = 64

export interface ConnectionLimits {
  readonly max: number
  readonly maxPerAddress: number
  readonly addresses: ClientAddresses
  readonly refusals: Refusals
}

/** Bounds the connections of a server, in all and of one client address. */
export function limitConnections(app: FastifyInstance, options: ConnectionLimits): void {
  const { max, addresses, refusals } = options
  const perAddress = new ConcurrencyLimit(options.maxPerAddress)
  const beyond = new WeakSet<Socket>()
  let open = 0
  app.server.prependListener('connection', (socket: Socket) => {
    const { remoteAddress } = socket
    // All clients of a proxy come from its address.
    const address = addresses.isTrusted(remoteAddress) ? undefined : addresses.ofConnection(remoteAddress)
    if (address && !perAddress.take(address)) {
      refusals.count('connections_of_one_address')
      // A reset, because some clients wait for ever after a connection that was ended before they had said anything.
      return reset(socket)
    }
    if (++open > max) {
      refusals.count('connections')
      beyond.add(socket)
    }
    socket.once('close', () => {
      open--
      if (address) perAddress.release(address)
    })
    if (open > max + ANSWERED_BEYOND) reset(socket)
  })
  app.addHook('onRequest', ({ raw }, reply, done) => {
    if (!beyond.has(raw.socket)) return done()
    reply.header('connection', 'close')
    throw new RelayError('at_capacity', 'the relay has no connection to spare')
  })
}
