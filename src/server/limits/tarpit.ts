import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Clock } from '../../relay/ports.ts'
import { WIDER_FACTOR } from '../../relay/relay.ts'
import type { ClientLimits } from '../config.ts'
import type { ClientAddress } from './client-address.ts'

const SECOND_MS = 1_000

interface Asked {
  requests: number
  refusals: number
}

/** Counts what client addresses ask for in a second. */
class Seconds {
  readonly #limits: ClientLimits
  readonly #clock: Clock
  readonly #asked = new Map<string, Asked>()
  #since = 0

  constructor(limits: ClientLimits, clock: Clock) {
    this.#limits = limits
    this.#clock = clock
  }

  /** Counts an answer, and reports whether the address has asked for more than it may in this second. */
  exceeds({ counted, wider }: ClientAddress, refused: boolean): boolean {
    if (counted === '') return false
    const now = this.#clock.now()
    if (now - this.#since >= SECOND_MS) {
      this.#asked.clear()
      this.#since = now
    }
    const narrow = this.#count(counted, refused, 1)
    return (wider !== undefined && this.#count(wider, refused, WIDER_FACTOR)) || narrow
  }

  #count(key: string, refused: boolean, factor: number): boolean {
    const asked = this.#asked.get(key) ?? { requests: 0, refusals: 0 }
    this.#asked.set(key, asked)
    asked.requests++
    if (refused) asked.refusals++
    const { requests, refusals } = this.#limits
    return asked.requests > requests * factor || (refused && asked.refusals > refusals * factor)
  }
}

/**
 * Lets an address that asks for far more than its devices could wait a second for each further answer. Until then nothing
 * is read from the connection; a request that was sent before its answer ends it. Connections bound how many wait.
 */
export function slowDown(app: FastifyInstance, limits: ClientLimits, clock: Clock, isStopping: () => boolean): void {
  if (limits.requests === Infinity && limits.refusals === Infinity) return
  const seconds = new Seconds(limits, clock)
  const waiting = new WeakSet<Socket>()
  app.addHook('onRequest', (request, _reply, done) => {
    const { socket } = request.raw
    if (waiting.has(socket)) socket.destroy()
    else done()
  })
  app.addHook('onSend', (request, reply, payload, done) => {
    const { socket } = request.raw
    const answer = () => {
      waiting.delete(socket)
      socket.resume()
      done(null, payload)
    }
    if (isStopping() || !seconds.exceeds(request.clientAddress, reply.statusCode >= 400)) return done(null, payload)
    waiting.add(socket)
    socket.pause()
    setTimeout(answer, SECOND_MS).unref()
  })
}
