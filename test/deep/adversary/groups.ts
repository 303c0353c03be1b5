import type { Case } from './cases.ts'
import { forgeryCases } from './forgeries.ts'
import { impostorCases } from './impostors.ts'
import { payloadCases } from './payload.ts'
import { replayCases } from './replays.ts'
import { resumeCases } from './resumes.ts'
import { spliceCases } from './splices.ts'
import { swapCases } from './swaps.ts'
import { timingCases } from './timing.ts'
import { viewCases } from './views.ts'

interface Group {
  /** Deed of a relay; follows 'a relay that'. */
  readonly does: string
  readonly cases: readonly Case[]
  /** True where the short form finds out, too, what was taken from the budgets: for everything in the handshake. */
  readonly budgets: boolean
}

/** Every operator against every role that it can be turned against. */
export const GROUPS: Readonly<Record<string, Group>> = {
  swaps: { does: 'swaps values', cases: swapCases, budgets: true },
  replays: { does: 'replays and reflects', cases: replayCases, budgets: true },
  impostors: { does: 'impersonates', cases: impostorCases, budgets: true },
  timing: { does: 'drops, delays, duplicates and reorders', cases: timingCases, budgets: true },
  forgeries: { does: 'forges', cases: forgeryCases, budgets: false },
  payload: { does: 'cuts and lengthens the payload', cases: payloadCases, budgets: false },
  splices: { does: 'splices the payload', cases: spliceCases, budgets: false },
  views: { does: 'shows what is not', cases: viewCases, budgets: false },
  resumes: { does: 'holds and grants what is not', cases: resumeCases, budgets: false },
}
