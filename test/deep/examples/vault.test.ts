import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { temporaryDirectory } from '../../cli/support.ts'
import { Random } from '../../support/random.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'
import { Home, pairHomes } from './household.ts'

const CUTS = 50
const NAMES = ['bank', 'forum', 'post', 'shop', 'train', 'wiki']

let relay: RunningRelay
beforeAll(async () => {
  relay = await startRelay()
})
afterAll(() => relay.close())

describe.each(['WebSockets', 'HTTP'])('the example’s vaults over %s', (transport) => {
  test(`edited on both sides while the network is cut ${CUTS} times, end equal, and lose no edit to an older one`, async () => {
    const random = new Random('vaults', transport)
    const { at } = await temporaryDirectory()
    const webSockets = transport === 'WebSockets'
    const create = (path: string) => Home.create({ port: relay.port, path: at(path), webSockets })
    const homes = [await create('first'), await create('second')] as const
    const [first, second] = homes
    let pairings = 0
    const paired = () => {
      pairings++
      return during(pairHomes(first, second))
    }

    /** Waits, while time passes for both, until `work` is done. */
    async function during<T>(work: Promise<T>): Promise<T> {
      let isDone = false
      const done = work.finally(() => {
        isDone = true
      })
      done.catch(() => {})
      while (!isDone) {
        for (const home of homes) await home.pass()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      return done
    }

    async function editSome(): Promise<void> {
      for (let left = random.between(1, 3); left > 0; left--) {
        const value = random.chance(0.3) ? null : random.word(random.between(1, 40))
        await random.pick(homes).edit(random.pick(NAMES), value)
      }
    }

    const inStep = async () => {
      for (const home of [first, second, first]) await home.inStep()
    }

    const kinds = {
      /** Cuts in the middle of a byte stream. The SDK resumes by itself. */
      byte: async () => {
        const { proxy } = random.pick(homes)
        const { cuts } = proxy
        proxy.cutAfter(random.below(1_500), 'any')
        while (proxy.cuts === cuts) {
          await editSome()
          await during(inStep())
        }
      },
      /** No network for a while. */
      away: async () => {
        const home = random.pick(homes)
        if (random.chance(0.5)) await editSome()
        home.unplug()
        await editSome()
        home.plug()
      },
      /** The end of the session, and of what both devices had in memory. */
      end: async () => {
        await editSome()
        await during(random.pick(ends)())
        expect(await during(Promise.all(homes.map(({ ended }) => ended)))).not.toContain('goodbye')
        await editSome()
        for (const home of homes) await home.restart()
        ends = await paired()
      },
    }

    let ends = await paired()
    for (let cut = 0; cut < CUTS; cut++) {
      await kinds[random.pick(['byte', 'away', 'end'] as const)]()
      if (random.chance(0.3)) await during(inStep())
    }
    await during(inStep())

    const stands = new Map<string, unknown>()
    const edits = homes.flatMap((home) => home.edits)
    edits.sort((a, b) => a.clock - b.clock || (a.device < b.device ? -1 : 1))
    for (const edit of edits) stands.set(edit.name, edit)
    const expected = [...stands].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, edit]) => edit)
    expect(pairings).toBeGreaterThan(5)
    for (const home of homes) {
      expect(home.vault.entries).toEqual(expected)
      await home.restart()
      expect(home.vault.entries).toEqual(expected)
    }
    await during(Promise.all(ends.map((end) => end())))
  })
})
