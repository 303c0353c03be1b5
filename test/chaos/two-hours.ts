import type { Server } from 'node:http'
import { FakeTime } from '../client/fake-time.ts'
import { type DeviceWorld, NOTHING_LEFT_HERE, until } from '../e2e/world.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { NO_SERVER_STATE, startRelay } from '../support/server.ts'
import { LIFE_MINUTES_MAX, LIVES } from './lives.ts'
import type { Plan } from './plan.ts'
import { type Row, Tally } from './tally.ts'

/** Two hours of a clock that the test moves: sessions begin, live in some way, and nothing of them stays. */

const MINUTES = 120
const MINUTE_MS = 60_000
const TICK_MS = 1_000

interface UnderWay {
  readonly name: string
  readonly life: AsyncGenerator<number, DeviceWorld[]>
  /** The minute at which it goes on. */
  next: number
}

export async function* twoHours({ minutesBetweenLives }: Plan): AsyncGenerator<Row> {
  const tally = new Tally('two hours of simulated clock', { mustSurvive: true })
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  const clock = new FakeClock()
  const time = new FakeTime()
  const relay = await startRelay({ clock })
  const before = listenersOf(relay.server)
  const names = Object.keys(LIVES)
  let [underWay, peak]: [UnderWay[], number] = [[], 0]
  try {
    for (let minute = 0; minute < MINUTES + LIFE_MINUTES_MAX; minute++) {
      if (minute < MINUTES && minute % minutesBetweenLives === 0) {
        const name = names[(minute / minutesBetweenLives) % names.length]
        underWay.push({ name: `${name}/${minute}`, life: LIVES[name](relay.url, time), next: minute })
      }
      for (const each of underWay.filter(({ next }) => next === minute)) {
        if (await goesOn(each, minute, tally)) continue
        underWay = underWay.filter((other) => other !== each)
      }
      peak = Math.max(peak, relay.counters().sessions)
      for (let ms = 0; ms < MINUTE_MS; ms += TICK_MS) {
        clock.advance(TICK_MS)
        await relay.tick()
        await time.advance(TICK_MS)
      }
    }
    for (const { name } of underWay) tally.fault(`${name} did not end`)
    await until('the sockets close', () => relay.counters().webSockets === 0)
    const left = relay.counters()
    if (JSON.stringify(left) !== JSON.stringify(NO_SERVER_STATE)) tally.fault(`left in the relay: ${inWords(left)}`)
    if (time.outstanding > 0) tally.fault(`${time.outstanding} timers are left in the devices`)
    const after = listenersOf(relay.server)
    if (after !== before) tally.fault(`${after} listeners instead of ${before}`)
    for (const warning of warnings) tally.fault(`a warning: ${warning.message}`)
  } finally {
    process.off('warning', onWarning)
    await relay.close()
  }
  tally.note(
    `a session every ${minutesBetweenLives} min, in ${names.length} ways; ${peak} at most at the same time, epitaphs included`,
  )
  yield tally.row
}

/** Lets a life go on until it waits again. False when it is over. */
async function goesOn(each: UnderWay, minute: number, tally: Tally): Promise<boolean> {
  try {
    const { done, value } = await each.life.next()
    if (!done) {
      each.next = minute + value
      return true
    }
    for (const world of value) {
      await until('the sockets close', () => world.openSockets.size === 0)
      if (inWords(world.left) !== inWords(NOTHING_LEFT_HERE)) {
        tally.add(each.name, { fate: 'lost', why: `left in a device: ${inWords(world.left)}` })
        return false
      }
    }
    tally.add(each.name, { fate: 'survived', why: '' })
  } catch (error) {
    tally.add(each.name, { fate: 'lost', why: String(error) })
  }
  return false
}

function listenersOf(server: Server): number {
  const emitters = [server, process, process.stdout, process.stderr]
  return emitters.reduce(
    (sum, emitter) => sum + emitter.eventNames().reduce((all, name) => all + emitter.listenerCount(name), 0),
    0,
  )
}

function inWords(counters: object): string {
  return JSON.stringify(counters)
}
