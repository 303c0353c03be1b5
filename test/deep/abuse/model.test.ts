import { describe } from 'vitest'
import { program } from '../../relay/model/programs.ts'
import { Run, SETTINGS } from '../../relay/model/run.ts'
import { memoryTarget, wireTarget } from '../../relay/model/targets.ts'
import { holds } from '../../support/property.ts'

/** Sessions without frames are in test/relay/model/model.test.ts. */
describe.each([
  { name: 'in memory', runs: 100, start: () => memoryTarget(SETTINGS) },
  { name: 'behind HTTP and WebSockets', runs: 8, start: () => wireTarget(SETTINGS) },
])('a relay $name', ({ runs, start }) => {
  const name = 'answers, shows and delivers what the model does for any 20 to 120 commands'
  holds(name, runs, program, async (attacker) => {
    const target = await start()
    try {
      await new Run(target).play(attacker)
    } finally {
      await target.stop()
    }
  })
})
