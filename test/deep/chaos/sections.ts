import { cuts } from './cuts.ts'
import { kills, killsAlone } from './kills.ts'
import type { Plan } from './plan.ts'
import { rolling } from './rolling.ts'
import { sleepers } from './sleepers.ts'
import { slowNetwork } from './slow-network.ts'
import { storm } from './storm.ts'
import type { Row } from './tally.ts'
import { twoHours, twoHoursInRedis } from './two-hours.ts'

type Section = (plan: Plan) => AsyncGenerator<Row>

/** By the names that `--only` takes, in the order in which they run. */
export const SECTIONS: Readonly<Record<string, Section>> = {
  cuts,
  slow: slowNetwork,
  sleep: sleepers,
  alone: killsAlone,
  kills,
  rolling,
  storm,
  clock: twoHours,
  'clock-redis': twoHoursInRedis,
}
