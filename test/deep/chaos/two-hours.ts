import { FakeTime } from '../../client/fake-time.ts'
import { type DeviceWorld, NOTHING_LEFT_HERE, until } from '../../e2e/world.ts'
import { Flatness } from './flatness.ts'
import { LIFE_MINUTES_MAX, LIVES } from './lives.ts'
import { inMemory, inRedis, type Place } from './places.ts'
import type { Plan } from './plan.ts'
import { within } from './side-by-side.ts'
import { type Row, Tally } from './tally.ts'

/** Two hours of a clock that the test moves: sessions begin, live in some way, nothing grows, and nothing of them stays. */

const MINUTES = 120
const MINUTE_MS = 60_000
/** Of real time. */
const STEP_LIMIT_MS = 15_000

interface UnderWay {
  readonly name: string
  readonly life: AsyncGenerator<number, DeviceWorld[]>
  /** The minute at which it continues. */
  next: number
}

export async function* twoHours(plan: Plan): AsyncGenerator<Row> {
  yield await twoHoursAt('two hours of simulated clock', inMemory, plan)
}

/** The same with two nodes. */
export async function* twoHoursInRedis(plan: Plan): AsyncGenerator<Row> {
  yield await twoHoursAt('two hours of simulated clock, two nodes and Redis', inRedis, plan)
}

async function twoHoursAt(title: string, start: () => Promise<Place>, plan: Plan): Promise<Row> {
  const { minutesBetweenLives } = plan
  const tally = new Tally(title, { mustSurvive: true })
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  const place = await start()
  const time = new FakeTime()
  const names = Object.keys(LIVES)
  let [underWay, peak]: [UnderWay[], number] = [[], 0]
  const flatness = new Flatness(MINUTES, names.length * minutesBetweenLives)
  try {
    for (let minute = 0; minute < MINUTES + LIFE_MINUTES_MAX; minute++) {
      if (minute < MINUTES && minute % minutesBetweenLives === 0 && !tally.hopeless) {
        const name = names[(minute / minutesBetweenLives) % names.length]
        underWay.push({ name: `${name}/${minute}`, life: LIVES[name](place.relays, time), next: minute })
      }
      for (const each of underWay.filter(({ next }) => next === minute)) {
        if (await goesOn(each, minute, tally)) continue
        underWay = underWay.filter((other) => other !== each)
      }
      const { sessions, keys, faults } = await place.look()
      flatness.look(minute, time.outstanding, keys)
      peak = Math.max(peak, sessions)
      for (const fault of faults) if (!tally.hopeless) tally.fault(`minute ${minute}: ${fault}`)
      for (let ms = 0; ms < MINUTE_MS; ms += place.tickMs) {
        await place.tick()
        await time.advance(place.tickMs)
      }
    }
    for (const { name } of underWay) tally.fault(`${name} did not end`)
    for (const fault of flatness.faults()) tally.fault(fault)
    if (time.outstanding > 0) tally.fault(`${time.outstanding} timers are left in the devices`)
    const left = await place.left().catch((error: unknown) => [String(error)])
    for (const what of left) tally.fault(`left behind: ${what}`)
    for (const warning of warnings) tally.fault(`a warning: ${warning.message}`)
  } finally {
    process.off('warning', onWarning)
    await place.close()
  }
  const lives = `a session every ${minutesBetweenLives} min, in ${names.length} ways`
  tally.note(`${lives}; ${peak} at most at the same time, epitaphs included`)
  return tally.row
}

/** Lets a life go on until it waits again. False when it is over. */
async function goesOn(each: UnderWay, minute: number, tally: Tally): Promise<boolean> {
  try {
    const { done, value } = await within(STEP_LIMIT_MS, each.name, each.life.next())
    if (!done) {
      each.next = minute + value
      return true
    }
    for (const world of value) {
      await until('the sockets close', () => world.openSockets.size === 0)
      // The file's last test has the devices until then, and with them each socket that they ever had.
      world.sockets.length = 0
      const left = JSON.stringify(world.left)
      if (left === JSON.stringify(NOTHING_LEFT_HERE)) continue
      tally.add(each.name, { fate: 'lost', why: `left in a device: ${left}` })
      return false
    }
    tally.add(each.name, { fate: 'survived', why: '' })
  } catch (error) {
    tally.add(each.name, { fate: 'lost', why: String(error) })
  }
  return false
}
