import { type Case, judge } from './cases.ts'
import { swapCases } from './swaps.ts'
import { replayCases } from './replays.ts'
import { impostorCases } from './impostors.ts'
import { timingCases } from './timing.ts'
import { forgeryCases } from './forgeries.ts'
const CASES: readonly Case[] = [...swapCases, ...replayCases, ...impostorCases, ...timingCases, ...forgeryCases].filter((c) => !process.argv[2] || c.operator.includes(process.argv[2]))
for (const each of CASES) {
  const v = await judge(each)
  process.stdout.write(`${each.operator.padEnd(38)} ${each.against.padEnd(9)} S: ${v.sender.padEnd(36)} R: ${v.receiver.padEnd(36)} ${v.faults.join('; ')}\n`)
}
