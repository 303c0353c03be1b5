import type { ConnectionStatus } from '../client/index.ts'
import { formatBytes } from './format.ts'
import type { Terminal } from './terminal.ts'

/** Tells the person, and `state`, how the connection to the relay is: what `Sender.open` and `Receiver.join` are given. */
export function connectionReport(terminal: Pick<Terminal, 'event' | 'say'>, state: { connected: boolean }) {
  return {
    onStatus: (status: ConnectionStatus) => {
      const was = state.connected
      state.connected = status === 'connected'
      terminal.event('connection', { status })
      // A connection that was never there is not lost.
      if (was && !state.connected) terminal.say('The connection to the relay is lost. Trying again …')
    },
    onFallback: () =>
      terminal.event('fallback', {}, 'WebSockets do not pass here. Going on over HTTP, which is slower.'),
    onSmallFrames: (maxBytes: number) => {
      const line = `Large requests do not pass here. Going on with ${formatBytes(maxBytes)} at a time, which is slower.`
      terminal.event('small_frames', { maxBytes }, line)
    },
    onBusy: (who: 'relay' | 'sender') => {
      const wait = who === 'relay' ? 'The relay has no room at the moment.' : 'The sender has not answered yet.'
      terminal.event('busy', { who }, `${wait} Waiting …`)
    },
  }
}
