import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyReply } from 'fastify'
import { RelayError } from '../../relay/errors.ts'
import type { Refusals } from '../http/refusals.ts'
import type { ClientAddresses } from './client-address.ts'
import { HeldLimit } from './held-limits.ts'

/** Connections beyond the maximum that are still answered with a refusal. The system has descriptors left for them. */
const ANSWERED_BEYOND = 64

/** Bounds the connections of a server, in all and of one client address. */
export class Connections {
  readonly #beyond = new WeakSet<Socket>()
  #open = 0

  constructor(
    server: Server,
    options: {
      readonly max: number
      readonly maxPerAddress: number
      readonly addresses: ClientAddresses
      readonly refusals: Refusals
    },
  ) {
    const { max, addresses, refusals } = options
    const perAddress = new HeldLimit(options.maxPerAddress)
    server.prependListener('connection', (socket: Socket) => {
      const { remoteAddress } = socket
      // All clients of a proxy come from its address.
      const address = addresses.isTrusted(remoteAddress) ? undefined : addresses.ofConnection(remoteAddress)
      if (address && !perAddress.take(address)) {
        refusals.count('connections_of_one_address')
        // A reset, because some clients wait for ever after a connection that was ended before they had said anything.
        return void socket.resetAndDestroy()
      }
      if (++this.#open > max) {
        refusals.count('connections')
        this.#beyond.add(socket)
      }
      socket.once('close', () => {
        this.#open--
        if (address) perAddress.release(address)
      })
      if (this.#open > max + ANSWERED_BEYOND) socket.resetAndDestroy()
    })
  }

  /** Throws RelayError `at_capacity` when the connection of a request is one too many, and has it closed after the answer. */
  check({ socket }: IncomingMessage, reply: FastifyReply): void {
    if (!this.#beyond.has(socket)) return
    reply.header('connection', 'close')
    throw new RelayError('at_capacity', 'the relay has no connection to spare')
  }
}
