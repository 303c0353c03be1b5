import { expect, test } from 'vitest'
import { connectionReport } from '../../src/cli/connection.ts'

/** Calls of the SDK about a connection, as a person and a program are told of them. */
function told(act: (report: ReturnType<typeof connectionReport>) => void) {
  const said: string[] = []
  const events: object[] = []
  const state = { connected: false }
  const terminal = {
    say: (line: string) => void said.push(line),
    event: (event: string, fields: object, line?: string) => {
      events.push({ event, ...fields })
      if (line !== undefined) said.push(line)
    },
  }
  act(connectionReport(terminal, state))
  return { said, events, ...state }
}

test('a connection is lost, for a person, only where there was one', () => {
  const { said, events, connected } = told(({ onStatus }) => {
    for (const status of ['reconnecting', 'connected', 'reconnecting'] as const) onStatus(status)
  })
  expect(said).toEqual(['The connection to the relay is lost. Trying again …'])
  expect(events.map((event) => Object.values(event).join(' '))).toEqual([
    'connection reconnecting',
    'connection connected',
    'connection reconnecting',
  ])
  expect(connected).toBe(false)
})

test('a way that is slower, and a wait, are told to a person and to a program', () => {
  const { said, events } = told(({ onFallback, onSmallFrames, onBusy }) => {
    onFallback()
    onSmallFrames(65_536)
    onBusy('relay')
    onBusy('sender')
  })
  expect(said).toEqual([
    'WebSockets do not pass here. Going on over HTTP, which is slower.',
    'Large requests do not pass here. Going on with 64 KiB at a time, which is slower.',
    'The relay has no room at the moment. Waiting …',
    'The sender has not answered yet. Waiting …',
  ])
  expect(events).toEqual([
    { event: 'fallback' },
    { event: 'small_frames', maxBytes: 65_536 },
    { event: 'busy', who: 'relay' },
    { event: 'busy', who: 'sender' },
  ])
})
