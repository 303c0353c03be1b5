import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { bytesOf, sha256 } from '../../e2e/people.ts'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { Random } from '../../support/random.ts'
import { JsonProcess } from '../browser/processes.ts'
import { bytesIn, filesIn, inFolder } from './folders.ts'
import type { Side } from './pairing.ts'
import type { Plan } from './plan.ts'
import { type Relays, startRelays } from './relays.ts'
import { sideBySide, within } from './side-by-side.ts'
import { type Row, Tally, type Verdict } from './tally.ts'

/** The command line is killed at random bytes of a transfer, on either side, and the same is sent again under a new code. */

const KIB = 1024
const MIB = 1024 * KIB
const SIDES: readonly Side[] = ['sender', 'receiver']
/** By kind, the files of a transfer and their sizes, each kind as large as the others. */
const KINDS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  file: { film: 8 * MIB },
  folder: { 'tree/a/film': 4 * MIB, 'tree/b/film': 3 * MIB, ...smallFiles('tree/c', 32), 'tree/empty': 0 },
  several: { one: 3 * MIB, two: 3 * MIB, three: 2 * MIB },
}
/** Content that a sender may have under way for nothing: the allowance, and what frames and calls cost beside it. */
const TWICE_MAX_BYTES = 4 * MIB + 512 * KIB
/** Bytes about the end of a transfer: the last words, and what all frames cost beside their content. */
const TAIL_BYTES = 32 * KIB
const KILLS_IN_A_ROW_MAX = 5
const AT_ONCE = 3
const LIMIT_MS = 180_000

export async function* resends(plan: Plan): AsyncGenerator<Row> {
  for (const setting of plan.resends.settings) {
    const tally = new Tally(`killed, and sent again: ${setting}`, { mustSurvive: true })
    const relays = await startRelays(setting)
    const begun = performance.now()
    const done = { kills: 0, resumed: 0, twice: 0 }
    let transfers = 0
    try {
      await sideBySide(AT_ONCE, () => {
        if (done.kills >= plan.resends.kills || tally.hopeless) return undefined
        const random = new Random(plan.seed, 'resends', setting, transfers)
        const kind = Object.keys(KINDS)[transfers++ % 3]
        const run = inFolder((folder) => new Transfer({ relays, random, folder, kind, done }).carry())
        return run.then((verdict) => tally.add(`${random.name} ${kind}`, verdict))
      })
      for (const failure of relays.failures()) tally.fault(`a relay logged ${failure}`)
    } finally {
      await relays.close()
    }
    const seconds = ((performance.now() - begun) / 1000).toFixed(0)
    const twice = (done.twice / MIB).toFixed(1)
    tally.note(`${done.kills} kills in ${transfers} transfers, ${seconds} s`)
    tally.note(`went on at more than 0 in ${done.resumed} attempts; at most ${twice} MiB were sent twice for one kill`)
    yield tally.row
  }
}

interface TransferParts {
  readonly relays: Relays
  /** Chooses the moments. */
  readonly random: Random
  readonly folder: string
  readonly kind: string
  /** Counters over all transfers. */
  readonly done: { kills: number; resumed: number; twice: number }
}

/** The end of an attempt: a side that was killed has no outcome. */
interface Attempt {
  readonly killed: Side | undefined
  readonly sender: JsonProcess
  readonly receiver: JsonProcess
}

/** The same things, sent until they are there. */
class Transfer {
  readonly #parts: TransferParts
  readonly #files: ReadonlyMap<string, Uint8Array>
  readonly #totalBytes: number
  /** Bytes that the receiver had when it said so last, and that were sent since, with so many kills. */
  #had = 0
  #sent = 0
  #killsSince = 0
  #passed = 0

  constructor(parts: TransferParts) {
    this.#parts = parts
    const { kind, random } = parts
    const files = Object.entries(KINDS[kind] ?? {})
    this.#files = new Map(files.map(([path, bytes]) => [path, bytesOf(bytes, random.below(2 ** 31))]))
    this.#totalBytes = files.reduce((sum, [, bytes]) => sum + bytes, 0)
  }

  async carry(): Promise<Verdict> {
    const { folder, relays, done } = this.#parts
    for (const place of ['from', 'to', 'state']) await mkdir(join(folder, place))
    for (const [path, bytes] of this.#files) {
      await mkdir(join(folder, 'from', path, '..'), { recursive: true })
      await writeFile(join(folder, 'from', path), bytes)
    }
    const networks = {
      sender: await CuttingProxy.start(relays.ports.sender),
      receiver: await CuttingProxy.start(relays.ports.receiver),
    }
    for (const side of SIDES) networks[side].refusesSockets = relays.refusesSockets
    try {
      for (let attempts = 1; ; attempts++) {
        const attempt = await this.#attempt(networks, attempts <= KILLS_IN_A_ROW_MAX)
        if (attempt.killed) done.kills++
        const tooMuch = this.#count(attempt, networks.sender.passed.sockets)
        const verdict = tooMuch ?? (await this.#judge(attempt))
        if (verdict) return verdict
      }
    } catch (error) {
      return { fate: 'lost', why: String(error) }
    } finally {
      for (const side of SIDES) await networks[side].close()
    }
  }

  /** Sends everything, kills one side at a random byte if it is to be killed, and lets the other one end. */
  async #attempt(networks: Readonly<Record<Side, CuttingProxy>>, mayKill: boolean): Promise<Attempt> {
    const { folder, random, relays } = this.#parts
    const env = { XDG_STATE_HOME: join(folder, 'state'), XDG_CONFIG_HOME: join(folder, 'state') }
    const things = [...new Set([...this.#files.keys()].map((path) => path.split('/', 1)[0] ?? ''))]
    const from = things.map((thing) => join(folder, 'from', thing))
    for (const side of SIDES) networks[side].moveTo(relays.ports[side])
    const victim = random.pick(SIDES)
    const left = this.#totalBytes - (await bytesIn(join(folder, 'to')))
    const moment = random.chance(0.2) ? left + random.below(TAIL_BYTES) : random.below(left)
    const other = random.pick(['loses its session', 'is interrupted', 'is killed'] as const)
    const devices: Partial<Record<Side, JsonProcess>> = {}
    let killed: Side | undefined
    try {
      const sender = JsonProcess.cli(networks.sender.url, ['send', ...from], { env })
      devices.sender = sender
      const { code } = await within(LIMIT_MS, 'the code', sender.event('code'))
      // The other network is only cut: both devices get over that by themselves.
      const cutOnly = networks[victim === 'sender' ? 'receiver' : 'sender']
      cutOnly.onCut = undefined
      cutOnly.cutAfter(random.below(left))
      if (mayKill) networks[victim].cutAfter(moment, 'any')
      networks[victim].onCut = () => {
        killed = victim
        devices[victim]?.signal('SIGKILL')
        const survivor = devices[victim === 'sender' ? 'receiver' : 'sender']
        if (other === 'is killed') survivor?.signal('SIGKILL')
        else if (other === 'is interrupted') survivor?.signal('SIGINT')
        else for (const side of SIDES) networks[side].moveTo(relays.elsewhere)
      }
      const into = ['receive', String(code), '--into', join(folder, 'to')]
      const receiver = JsonProcess.cli(networks.receiver.url, into, { env })
      devices.receiver = receiver
      // Killed between the code and the receiver's start.
      if (killed && other !== 'loses its session') receiver.signal('SIGINT')
      await within(LIMIT_MS, 'the end', Promise.all([sender.ended, receiver.ended]))
      for (const side of SIDES) networks[side].cutAfter(Number.POSITIVE_INFINITY)
      return { killed, sender, receiver }
    } finally {
      for (const device of Object.values(devices)) await device.kill()
    }
  }

  /** Looks at what is there. Undefined while it must be sent again. */
  async #judge({ killed, sender, receiver }: Attempt): Promise<Verdict | undefined> {
    const { folder } = this.#parts
    const there = await filesIn(join(folder, 'to'))
    const words = this.#wordsOf(sender, receiver)
    const final = [...there].filter(([path]) => !/(\.part(\/|$)|\.lock$)/.test(path))
    const wrong = final.find(([path, digest]) => digest !== sha256(this.#files.get(path) ?? new Uint8Array()))
    if (wrong) return { fate: 'lost', why: `not what was sent: ${wrong[0]}; ${words}` }
    const asked = receiver.lines.filter(({ event }) => event === 'offer').length
    if (asked > 1) return { fate: 'duplicated', why: `${asked} offers; ${words}` }
    const isWhole = final.length === this.#files.size
    const saysDelivered = sender.lines.some(({ event }) => event === 'delivered')
    if (saysDelivered && !isWhole) return { fate: 'lost', why: `delivered and not there; ${words}` }
    if (!killed) {
      const left = [...there.keys()].filter((path) => !final.some(([each]) => each === path))
      if (!isWhole || left.length > 0) return { fate: 'lost', why: `${left} left, whole: ${isWhole}; ${words}` }
      const codes = [await sender.ended, await receiver.ended]
      return codes.join() === '0,0' ? { fate: 'survived', why: '' } : { fate: 'clean error', why: words }
    }
    if (final.length === 0) return undefined
    const things = new Set(final.map(([path]) => path.split('/', 1)[0]))
    const isPart = things.has('tree') && !isWhole
    const end = sender.lines.find(({ event }) => event === 'not_delivered')
    const isWrong = isWhole && end && end.code !== 'unconfirmed'
    if (isPart || isWrong) return { fate: 'lost', why: `${isPart ? 'a part of a folder' : 'received'}; ${words}` }
    // Some of several things have their names: a person removes them, or says where to.
    return { fate: 'survived', why: '' }
  }

  /** Counts what was sent twice. Undefined where that is within the allowance. */
  #count({ killed, sender }: Attempt, passed: number): Verdict | undefined {
    const { done } = this.#parts
    const answer = sender.lines.find(({ event }) => event === 'answer')
    const has = Number(answer?.hasBytes ?? this.#had)
    if (has > 0 && answer) done.resumed++
    if (answer && this.#killsSince > 0) {
      const twice = (this.#sent - (has - this.#had)) / this.#killsSince
      done.twice = Math.max(done.twice, twice)
      if (twice > TWICE_MAX_BYTES) return { fate: 'duplicated', why: `${twice} bytes were sent twice for one kill` }
      this.#sent = 0
      this.#killsSince = 0
      this.#had = has
    }
    this.#sent += passed - this.#passed
    this.#passed = passed
    if (killed) this.#killsSince++
    return undefined
  }

  #wordsOf(...devices: readonly JsonProcess[]): string {
    const last = devices.map(({ lines }) => JSON.stringify(lines.at(-1)))
    return `last words ${last.join(' and ')}`
  }
}

function smallFiles(folder: string, count: number): Record<string, number> {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`${folder}/${i}`, MIB / count]))
}
