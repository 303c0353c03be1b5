import { besieged } from './besieged.ts'
import { flipped } from './bits.ts'
import { FLAWS, type Flaw } from './broken.ts'
import { GUESSES, TAGS } from './budgets.ts'
import { COLUMNS, judge } from './cases.ts'
import { cross } from './channels.ts'
import { disconnect } from './disconnects.ts'
import { everyRearrangement } from './exhaustive.ts'
import { floodOfM1, raceOfJoins, raceOfTags } from './floods.ts'
import { GROUPS } from './groups.ts'
import { collides, type Meddling, meddle, meddleWithBuild, ORDERS, withinChance } from './middle.ts'
import { run } from './programs.ts'
import { recording } from './replays.ts'
import { Seed } from './seed.ts'

/** Everything there is to run, in two sizes: what CI runs, and what is run by hand. */

export interface Sizes {
  readonly budgetsOfAll: boolean
  readonly programs: number
  readonly bitsPerField: number
  readonly meddlings: number
  readonly builds: number
  readonly disconnects: number
  /** All moments of all sieges, also over two nodes. */
  readonly everySiege: boolean
}

export const SHORT: Sizes = {
  budgetsOfAll: false,
  programs: 300,
  bitsPerField: 16,
  meddlings: 200,
  builds: 12,
  disconnects: 150,
  everySiege: false,
}
export const LONG: Sizes = {
  budgetsOfAll: true,
  programs: 20_000,
  bitsPerField: Number.POSITIVE_INFINITY,
  meddlings: 5_000,
  builds: 100,
  disconnects: 500,
  everySiege: true,
}

/** A line of the outcome. */
export interface Line {
  readonly text: string
  readonly faults: readonly string[]
  /** Goes under the line. */
  readonly more?: string
}

export type Part = (sizes: Sizes) => AsyncGenerator<Line>

/** Lines of the outcome, for each operator and role. */
async function* operators(group: string, sizes: Sizes): AsyncGenerator<Line> {
  const { cases, budgets } = GROUPS[group]
  for (const each of cases) {
    const { line, faults } = await judge(each, budgets || sizes.budgetsOfAll)
    yield { text: line, faults }
  }
}

export async function* crossings(): AsyncGenerator<Line> {
  for (const [from, seq, receipts, receivers, complete] of [
    ['sender', 3, 'not_delivered', 'corrupt', 0],
    ['sender', 4, 'not_delivered', 'corrupt', 0],
    ['receiver', 5, 'unconfirmed', 'revoked', 2],
  ] as const) {
    const outcome = await cross(from, seq)
    const faults = [...outcome.faults]
    if (!outcome.receivers.every((each) => each === receivers)) faults.push(`receivers: ${outcome.receivers}`)
    if (outcome.receipts.some((each) => each !== receipts)) faults.push(`receipts: ${outcome.receipts}`)
    if (outcome.complete !== complete) faults.push(`${outcome.complete} complete`)
    yield { text: `frame ${seq} of the ${from} crossed between two channels: both receivers ${receivers}`, faults }
  }
}

export async function* bits(sizes: Sizes): AsyncGenerator<Line> {
  for (const { message, field, flipped: count, wrong } of flipped(sizes.bitsPerField)) {
    const faults = wrong.map((bit) => `bit ${bit} of ${message} ends otherwise`)
    yield { text: `${count} bits of ${field} in ${message}, flipped one at a time: nobody verified`, faults }
  }
}

export async function* rearrangements(): AsyncGenerator<Line> {
  let count = 0
  const faults: string[] = []
  for await (const each of everyRearrangement(5)) {
    count++
    faults.push(...each.faults.map((fault) => `${each.name}: ${fault}`))
  }
  yield {
    text: `${count} drops, repetitions, cuts, false ends and transpositions of 1 to 5 chunks: none passed for the transfer`,
    faults,
  }
}

export async function* programs(sizes: Sizes): AsyncGenerator<Line> {
  const recorded = await recording()
  const ends = new Map<string, number>()
  const faults: string[] = []
  for (let number = 0; number < sizes.programs; number++) {
    const { program, outcome, faults: found } = await run(number, recorded)
    const end = `${outcome.sender.names} / ${outcome.receiver.names}`
    ends.set(end, (ends.get(end) ?? 0) + 1)
    faults.push(...found.map((fault) => `program ${number} (${program.join(' + ')}): ${fault}`))
  }
  const common = [...ends].sort(([, a], [, b]) => b - a).map(([end, count]) => `${end} ${count}`)
  yield {
    text: `${sizes.programs} random programs of operators, ${ends.size} ways to end (what the sender named / the receiver):`,
    faults,
    more: common.join(', '),
  }
}

/** The real SDK, and how often two numbers agreed in one and in two digits. */
export async function* middle(sizes: Sizes): AsyncGenerator<Line> {
  const all: Meddling[] = []
  for (const [i, order] of ORDERS.entries()) {
    const mine: Meddling[] = []
    // The last three orders never lead to two numbers, so a few are enough.
    const runs = i < 4 ? sizes.meddlings / 4 : Math.ceil(sizes.meddlings / 40)
    for (let number = 0; number < runs; number++) mine.push(await meddle(order, new Seed('middle', order, number)))
    all.push(...mine)
    const hidden = mine.filter(({ rows }) => rows !== 1).length
    const compared = mine.filter(({ atSender, atReceiver }) => atSender && atReceiver).length
    const unseen = mine.filter((each) => each.unseen > 0).length
    const faults = hidden > 0 ? [`${hidden} tries without a row`] : []
    if (unseen > 0) faults.push(`${unseen} numbers known before the row`)
    if (compared !== (i < 4 ? runs : 0)) faults.push(`${compared} of ${runs} led to two numbers`)
    yield { text: `he knows the code, ${order}: ${runs} runs, each one row, ${compared} compared`, faults }
  }
  const compared = all.filter(({ atSender, atReceiver }) => atSender && atReceiver)
  for (const digits of [1, 2]) {
    const hits = compared.filter((each) => collides(each, digits)).length
    const p = 10 ** -digits
    const faults = withinChance(hits, compared.length, p) ? [] : [`that is not chance`]
    const text = `the last ${digits === 1 ? 'digit' : 'two digits'} agreed in ${hits} of ${compared.length} runs, ${compared.length * p} expected`
    yield { text, faults }
  }
}

/** The man's gain from each flaw of a build. */
const WORTH: Record<Flaw, 'chance' | 'always' | 'unseen'> = {
  none: 'chance',
  'commit_S is not checked': 'always',
  'commit_R hides nothing': 'always',
  'commit_R is not checked': 'chance',
  'a second m2 is answered': 'always',
  'n_S lies open in m2': 'unseen',
  'n_S lies open and commit_R is not checked': 'always',
}

export async function* brokenBuilds(sizes: Sizes): AsyncGenerator<Line> {
  for (const flaw of FLAWS) {
    // Many handshakes each.
    const length = flaw.startsWith('n_S lies open') ? Math.ceil(sizes.builds / 4) : sizes.builds
    const runs = Array.from({ length }, (_, i) => meddleWithBuild(flaw, new Seed('build', flaw, i)))
    const wins = runs.filter((each) => collides(each)).length
    const unseen = runs.reduce((sum, each) => sum + each.unseen, 0)
    const faults: string[] = []
    if (WORTH[flaw] === 'always' && wins !== runs.length) faults.push('he should always win')
    if (WORTH[flaw] === 'chance' && !withinChance(wins, runs.length, 0.01)) faults.push('that is not chance')
    if (WORTH[flaw] === 'unseen' ? unseen === 0 : unseen > 0) faults.push('numbers without a row')
    yield {
      text: `a build, broken on purpose (${flaw}): he wins ${wins} of ${runs.length}, ${unseen} numbers without a row`,
      faults,
    }
  }
}

export async function* disconnects(sizes: Sizes): AsyncGenerator<Line> {
  const sum = { joins: 0, cuts: 0, refusals: 0 }
  const tags = [0, 0, 0, 0]
  const faults: string[] = []
  for (let number = 0; number < sizes.disconnects; number++) {
    const each = await disconnect(new Seed('disconnect', number))
    tags[each.tags] = (tags[each.tags] ?? 0) + 1
    for (const what of ['joins', 'cuts', 'refusals'] as const) sum[what] += each[what]
    faults.push(...each.faults.map((fault) => `run ${number}: ${fault}`))
  }
  if (tags[3] === 0) faults.push('no run came as far as three tags')
  const text = `${sizes.disconnects} codes, ${sum.cuts} disconnects around m3, ${sum.joins} joins, ${sum.refusals} refusals: at most 3 tags of one code`
  const more = `tags emitted: ${tags.map((codes, count) => `${count} for ${codes} codes`).join(', ')}`
  yield { text, faults, more }
}

export async function* floods(): AsyncGenerator<Line> {
  const { atOnce, answered, retired } = await floodOfM1(40)
  const flood: string[] = []
  if (atOnce !== 8 || answered !== 40 || retired)
    flood.push(`${atOnce} at once, ${answered} in all, retired: ${retired}`)
  yield { text: '40 m1 and no m3: 8 answered at once, each gives its place back, and the code stays', faults: flood }
  for (const [before, sameTurn, left] of [
    [1, 3, 1],
    [0, 3, 2],
    [2, 3, undefined],
    [4, 1, undefined],
  ] as const) {
    const race = await raceOfTags(before, sameTurn)
    const right = left !== undefined
    const faults =
      race.rows === (right ? 1 : 0) && race.answered === right ? [] : [`${race.rows} rows, m4: ${race.answered}`]
    if (race.left !== left) faults.push(`${race.left} guesses left instead of ${left}`)
    const what = right ? `verified, and ${left} of ${GUESSES} guesses left` : 'not looked at'
    yield { text: `${before} wrong tags, then ${sameTurn} more and the right one in one turn: ${what}`, faults }
  }
  const tags = await raceOfJoins(6)
  const text = `6 joins of one code side by side, their m2 all at once: ${tags} tags`
  yield { text, faults: tags === TAGS ? [] : [`${TAGS} are allowed`] }
}

interface Section {
  readonly part: Part
  /** Heads its lines. */
  readonly columns?: string
}

/** In the order in which they are run, by the names they are asked for. */
export const PARTS: Readonly<Record<string, Section>> = {
  ...Object.fromEntries(
    Object.keys(GROUPS).map((group) => [group, { part: (sizes: Sizes) => operators(group, sizes), columns: COLUMNS }]),
  ),
  crossings: { part: crossings },
  bits: { part: bits },
  rearrangements: { part: rearrangements },
  programs: { part: programs },
  middle: { part: middle },
  builds: { part: brokenBuilds },
  disconnects: { part: disconnects },
  floods: { part: floods },
  strangers: { part: besieged },
}

/** The work done, in numbers. */
export const quote = (sizes: Sizes): string => {
  const cases = Object.values(GROUPS).reduce((sum, group) => sum + group.cases.length, 0)
  const bits =
    sizes.bitsPerField === Number.POSITIVE_INFINITY ? 'every bit' : `${sizes.bitsPerField} bits of each field`
  return [
    `${cases} operators, each against one role`,
    `${bits} of m1 to m4`,
    'all drops, repetitions, cuts, false ends and transpositions of 1 to 5 chunks',
    `${sizes.programs} random programs`,
    `${sizes.meddlings} compared runs of a man in the middle who knows the code`,
    `${sizes.disconnects} codes under forced disconnects`,
  ].join(', ')
}
