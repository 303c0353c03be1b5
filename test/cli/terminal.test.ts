import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Terminal } from '../../src/cli/terminal.ts'

const UP = '\r\u001b[1A\u001b[J'

let written = ''
const before = { isTTY: process.stderr.isTTY, columns: process.stderr.columns }

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubEnv('TERM', 'xterm')
  vi.stubEnv('PAIRLAY_PLAIN', '')
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += text
    return true
  })
  Object.assign(process.stderr, { isTTY: true, columns: 40 })
  written = ''
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  Object.assign(process.stderr, before)
})

/** Returns all that a terminal that talks like this has written. */
function writtenBy(work: (terminal: Terminal) => void, manner = {}): string {
  const terminal = new Terminal({ ...manner, stdinIsData: false })
  try {
    work(terminal)
    return written
  } finally {
    terminal.close()
  }
}

describe('lines that are drawn again', () => {
  test('take the place of those before, and a line that is said takes it too', () => {
    const shown = writtenBy((terminal) => {
      terminal.progress(['1%'])
      terminal.progress(['2%'])
      terminal.say('Done.')
      terminal.say('Really.')
    })
    expect(shown).toBe(`1%\n${UP}2%\n${UP}Done.\nReally.\n`)
  })

  test('are written once as long as they stay the same', () => {
    const shown = writtenBy((terminal) => {
      for (let n = 0; n < 5; n++) terminal.progress(['1%'])
    })
    expect(shown).toBe('1%\n')
  })

  test('begin below what a shell has written, after a process was stopped', () => {
    const shown = writtenBy((terminal) => {
      terminal.progress(['1%'])
      vi.advanceTimersByTime(1_600)
      terminal.progress(['stalled'])
      vi.advanceTimersByTime(200)
      terminal.progress(['2%'])
    })
    expect(shown).toBe(`1%\nstalled\n${UP}2%\n`)
  })

  test('go as the rows that they take in a terminal which became narrower', () => {
    const shown = writtenBy((terminal) => {
      terminal.progress(['x'.repeat(39), 'y'])
      Object.assign(process.stderr, { columns: 20 })
      terminal.progress(['2%'])
    })
    expect(shown).toBe(`${'x'.repeat(39)}\ny\n\r\u001b[3A\u001b[J2%\n`)
  })

  test('are shorter than the terminal is wide', () => {
    expect(writtenBy((terminal) => terminal.progress(['x'.repeat(100)]))).toBe(`${'x'.repeat(39)}\n`)
  })
})

test('a question is asked again when a process that was stopped goes on', () => {
  const shown = writtenBy((terminal) => {
    void terminal.ask('approve', 'Yes? ')
    process.emit('SIGCONT')
  })
  expect(shown).toBe('Yes? Yes? ')
})

describe('lines are drawn again', () => {
  const isInteractive = (manner = {}) => {
    const terminal = new Terminal({ ...manner, stdinIsData: false })
    terminal.close()
    return terminal.interactive
  }

  test('at a terminal, unless it is dumb, or they are not wanted', () => {
    expect(isInteractive()).toBe(true)
    for (const manner of [{ plain: true }, { quiet: true }, { json: true }]) expect(isInteractive(manner)).toBe(false)
    for (const none of ['dumb', '', undefined]) {
      vi.stubEnv('TERM', none)
      expect(isInteractive()).toBe(false)
    }
    vi.stubEnv('TERM', 'xterm')
    vi.stubEnv('PAIRLAY_PLAIN', '1')
    expect(isInteractive()).toBe(false)
  })

  test('nowhere else', () => {
    Object.assign(process.stderr, { isTTY: false })
    expect(isInteractive()).toBe(false)
  })
})
