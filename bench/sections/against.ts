import { withAgents } from '../harness/agents.ts'
import { buildOf } from '../harness/builds.ts'
import { DIST } from '../harness/compile.ts'
import type { Section } from '../harness/report.ts'
import { COSTS, type CostId, compare, ratioTable } from './costs.ts'

export const against: Section = {
  name: 'against',
  about: 'this build beside that of another commit (--against), alternating',
  run: async ({ plan, report, commit }) => {
    if (commit === undefined) throw new TypeError('--against <commit> says with which')
    const costs = Object.keys(COSTS) as CostId[]
    const builds = new Map([{ name: 'this build', dist: DIST }, buildOf(commit)].map((build) => [build, costs]))
    await withAgents(1, async ([agent]) => {
      if (!agent) return
      report.table(ratioTable(`Against ${commit}`, await compare(agent, builds, plan.builds)))
    })
  },
}
