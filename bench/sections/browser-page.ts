import { rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'
import { removeFolder } from '../harness/children.ts'
import { DIST } from '../harness/compile.ts'
import { interleave } from '../harness/interleave.ts'
import { RelayProcess } from '../harness/relay.ts'
import type { Section } from '../harness/report.ts'
import { spread } from '../harness/stats.ts'
import { type Chromium, startChromium } from '../load/chromium.ts'
import { timed } from '../yardsticks/timed.ts'
import { failureNotes } from './contenders.ts'
import { makeFile, roomyFolder } from './end-to-end.ts'

const WARM_UP_BYTES = 80 * 2 ** 20
const WATCH_EVERY_MS = 250
const CLI = fileURLToPath(new URL('cli/main.js', DIST))
/** Durations of what kept the page's main thread for longer than 50 ms, in milliseconds. */
const OBSERVER = `globalThis.long = [];
  new PerformanceObserver((list) => long.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' })`

interface Round {
  readonly seconds: number
  /** Of the page's processes: their main threads, their workers, and the browser's cipher. */
  readonly cpu: number
  readonly longTasks: readonly number[]
  /** Memory of the whole browser at its highest, above what it was before, in bytes. */
  readonly risen: number
}

/** Carries the file once, and tells of the time between `begin` and the end. */
type Way = (begin: () => Promise<void>) => Promise<void>

export const browserPage: Section = {
  name: 'browser-page',
  about: 'a file from the page in Chromium to a command line, and from one to the page',
  run: async ({ plan, report }) => {
    const { bytes, rounds, seconds } = plan.browserPage
    const folder = roomyFolder(2 * bytes)
    const relay = await RelayProcess.start()
    const browser = await startChromium(join(folder, 'profile'))
    if ('skipped' in browser) {
      await relay.end()
      removeFolder(folder)
      return report.goal('browserPage', undefined, browser.skipped)
    }
    try {
      const file = join(folder, 'original')
      makeFile(file, bytes)
      const run = (way: Way) => () => carried(browser, `${relay.url}/`, way)
      const short = join(folder, 'short')
      makeFile(short, WARM_UP_BYTES)
      const sends = (path: string) =>
        run((begin) => pageSends(browser, relay.url, path, join(folder, 'received'), begin))
      const receives = (path: string) => run((begin) => pageReceives(browser, relay.url, path, begin))
      const outcomes = await interleave(
        [
          { name: 'page → command line', run: sends(file), warmUp: sends(short) },
          { name: 'command line → page', run: receives(file), warmUp: receives(short) },
        ],
        { rounds, seconds },
      )
      const gigabytes = bytes / 1e9
      const perCore = ({ cpu }: Round) => bytes / 1e6 / cpu
      report.table({
        title: `The page in Chromium: a file of ${Math.round(bytes / 2 ** 20)} MiB`,
        columns: [
          { key: 'cpu', head: 'page CPU s/GB', digits: 1 },
          { key: 'perCore', head: 'MB/s a core', digits: 0 },
          { key: 'rate', head: 'MB/s here', digits: 0 },
          { key: 'longest', head: 'longest task ms', digits: 0 },
          { key: 'risen', head: 'MiB above idle', digits: 0 },
        ],
        rows: outcomes.map(({ name, rounds: each }) => ({
          name,
          cells: {
            cpu: spread(each.map((round) => round.cpu / gigabytes)),
            perCore: spread(each.map(perCore)),
            rate: spread(each.map((round) => bytes / 1e6 / round.seconds)),
            longest: spread(each.map(({ longTasks }) => Math.max(0, ...longTasks))),
            risen: spread(each.map(({ risen }) => risen / 2 ** 20)),
          },
        })),
        notes: [
          'CPU of the page with its worker and its cipher, from the number chosen, or the offer taken, to the receipt; it keeps files in its storage',
          'a task counts from 50 ms on, by the clock: on a machine that is not quiet it has waited for a core',
          'memory: PSS of all processes of the browser, four times a second, above that of the page at rest before',
          ...failureNotes(outcomes),
        ],
      })
      const medians = outcomes.map(({ rounds: each }) => spread(each.map(perCore))?.median ?? Number.NaN)
      const risen = Math.max(...outcomes.flatMap(({ rounds: each }) => each.map((round) => round.risen / 2 ** 20)))
      report.goal('browserMemory', risen, `with ${Math.round(bytes / 2 ** 20)} MiB, the worse direction`)
      report.goal('browserPage', Math.min(...medians), 'the slower direction, by CPU')
    } finally {
      await browser.stop()
      await relay.end()
      removeFolder(folder)
    }
  },
}

async function carried(browser: Chromium, url: string, way: Way): Promise<Round> {
  await browser.open(url)
  await browser.evaluate(OBSERVER)
  const idle = await browser.memory()
  let [startedAt, before, highest] = [0, 0, idle]
  const watch = setInterval(async () => {
    highest = Math.max(highest, await browser.memory())
  }, WATCH_EVERY_MS)
  try {
    await way(async () => {
      before = await browser.pageCpu()
      startedAt = performance.now()
    })
  } finally {
    clearInterval(watch)
  }
  const seconds = (performance.now() - startedAt) / 1000
  const cpu = (await browser.pageCpu()) - before
  const longTasks = await browser.evaluate<number[]>('long')
  // Nothing is left in its storage for the next round.
  await browser.evaluate(
    `navigator.storage.getDirectory().then((root) => root.removeEntry('pairlay', { recursive: true })).catch(() => {})`,
  )
  return { seconds, cpu, longTasks, risen: highest - idle }
}

async function pageSends(browser: Chromium, relay: string, file: string, target: string, begin: () => Promise<void>) {
  await browser.choose(file)
  await press(browser, 'Get a code')
  const isShown = `document.querySelector('h1').textContent.startsWith('Enter this code')`
  const code = await browser.until<string>(`${isShown} && document.querySelector('.tiles').textContent`)
  const receiver = timed(process.execPath, [CLI, 'receive', code, '-o', target, '--relay', relay, '--json', '--yes'])
  try {
    const number = await receiver.line((line) => eventOf(line, 'number')?.matchNumber)
    const digits = String(number).replaceAll(/\D/g, '')
    const choice = `[...document.querySelectorAll('.choice')].find(({ textContent }) => textContent.replaceAll(/\\D/g, '') === '${digits}')`
    await browser.until(`${choice} && true`)
    await begin()
    await browser.evaluate(`${choice}.click()`)
    await receiver.done
    if (statSync(target).size !== statSync(file).size) throw new Error('not all of the file arrived')
  } finally {
    await receiver.stop()
    rmSync(target, { force: true })
  }
}

async function pageReceives(browser: Chromium, relay: string, file: string, begin: () => Promise<void>) {
  const sender = timed(process.execPath, [CLI, 'send', file, '--relay', relay, '--json', '--yes'])
  try {
    const code = await sender.line((line) => eventOf(line, 'code')?.code)
    await browser.evaluate(`document.querySelector('#code').focus()`)
    await browser.evaluate(`document.execCommand('insertText', false, '${code}')`)
    await press(browser, 'Connect')
    const accept = `document.querySelector('.transfer.asked button.main')`
    await browser.until(`${accept} && true`)
    await begin()
    await browser.evaluate(`${accept}.click()`)
    await sender.line((line) => eventOf(line, 'delivered'))
  } finally {
    await sender.stop()
  }
}

async function press(browser: Chromium, name: string): Promise<void> {
  const button = `[...document.querySelectorAll('button')].find(({ textContent }) => textContent.trim() === '${name}')`
  await browser.until(`${button} && true`)
  await browser.evaluate(`${button}.click()`)
}

/** The fields of an event of the command line, if this line is one. */
function eventOf(line: string, event: string): Readonly<Record<string, unknown>> | undefined {
  const said = line.startsWith('{') ? JSON.parse(line) : {}
  return said.event === event ? said : undefined
}
