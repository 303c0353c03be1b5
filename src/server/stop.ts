import type { FastifyInstance } from 'fastify'
import type { Relay } from '../relay/relay.ts'

/** How long a stopping relay lets answers go out before it cuts connections, in milliseconds. */
const CUT_AFTER_MS = 500

/** Drains the relay before the server closes, and lets the last answers go out. */
export function stopWithLastWords(app: FastifyInstance, relay: Relay): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    // A connection that is kept alive would hold the process.
    if (relay.unready === 'going_away') reply.header('connection', 'close')
    done(null, payload)
  })
  app.addHook('preClose', async () => {
    await relay.drain()
    const cut = new Promise<void>((resolve) => {
      const late = () => {
        // A peer that is in the middle of a request, or never began one, must not hold the process.
        app.server.closeAllConnections()
        resolve()
      }
      setTimeout(late, CUT_AFTER_MS).unref()
    })
    // Clients between two polls come back for the last view, and are refused no connection until then.
    if (relay.awaitsPolls) await cut
  })
}
