import { type Case, judge } from './cases.ts'
import { swapCases } from './swaps.ts'
const CASES: readonly Case[] = [...swapCases]
for (const each of CASES) {
  const v = await judge(each)
  process.stdout.write(`${each.operator.padEnd(38)} ${each.against.padEnd(9)} S: ${v.sender.padEnd(36)} R: ${v.receiver.padEnd(36)} ${v.faults.join('; ')}\n`)
}
