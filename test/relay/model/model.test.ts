import { holds } from '../../support/property.ts'
import { wordless } from './programs.ts'
import { Run, SETTINGS } from './run.ts'
import { memoryTarget } from './targets.ts'

/** With frames, and behind HTTP and WebSockets, in test/deep/abuse/model.test.ts. */
holds('sessions behave as the model for any commands in any order', 100, wordless, (commands) =>
  new Run(memoryTarget(SETTINGS)).play(commands),
)
