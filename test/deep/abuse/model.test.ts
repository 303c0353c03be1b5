import { describe } from 'vitest'
import { holds } from '../../support/property.ts'
import { program } from './programs.ts'
import { Run, SETTINGS } from './run.ts'
import { memoryTarget, type Target, wireTarget } from './targets.ts'

/** Sessions alone, in more runs, are in test/relay/session/session-model.test.ts; here are tokens, sockets and frames too. */
const TARGETS: readonly {
  readonly name: string
  readonly runs: number
  readonly start: () => Target | Promise<Target>
}[] = [
  { name: 'in memory', runs: 100, start: () => memoryTarget(SETTINGS) },
  { name: 'behind HTTP and WebSockets', runs: 8, start: () => wireTarget(SETTINGS) },
]

describe.each(TARGETS)('a relay $name', ({ runs, start }) => {
  holds(
    'answers, shows and delivers what the model does for any 20 to 120 commands',
    runs,
    program,
    async (attacker) => {
      const target = await start()
      try {
        await new Run(target).play(attacker)
      } finally {
        await target.stop()
      }
    },
  )
})
