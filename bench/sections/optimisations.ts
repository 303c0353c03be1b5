import { withAgents } from '../harness/agents.ts'
import { type Build, type Change, changedBuild } from '../harness/builds.ts'
import { DIST } from '../harness/compile.ts'
import type { Section } from '../harness/report.ts'
import { COSTS, type CostId, compare, ratioTable } from './costs.ts'

interface Optimisation {
  readonly without: string
  readonly costs: readonly CostId[]
  readonly changes: readonly Change[]
}

/**
 * Code that is there for speed or memory alone, and its replacement. A text that is not found fails the section. With `socket`
 * the loads run in a relay that has held many sockets, as those of real life have: there garbage costs twice as much.
 */
const OPTIMISATIONS: readonly Optimisation[] = [
  {
    without: 'fast path: messages received through ws',
    costs: ['socket', 'bulk', 'chunks', 'small'],
    changes: [{ file: 'server/websocket/client-socket.js', find: 'if (!listener)', replace: 'if (listener)' }],
  },
  {
    without: 'reads kept as pieces of large messages: all copied',
    costs: ['bulk'],
    changes: [
      { file: 'server/websocket/fast-path.js', find: 'this.#length >= PIECED_BYTES', replace: 'this.#length < 0' },
    ],
  },
  {
    without: 'own framing: messages sent through ws',
    costs: ['socket', 'bulk', 'chunks', 'small'],
    changes: [
      {
        file: 'server/websocket/client-socket.js',
        find: "const text = typeof data === 'string'",
        replace: `if (CONGESTED_BYTES > 0) {
          this.#webSocket.send(data)
          if (this.#below.writableLength > CONGESTED_BYTES) this.#flush()
          this.#congested = this.#below.writableLength > CONGESTED_BYTES
          return this.#congested ? 'congested' : 'sent'
        }
        const text = typeof data === 'string'`,
      },
    ],
  },
  {
    without: 'one write for all messages of a turn',
    costs: ['bulk', 'small', 'pairing'],
    changes: [{ file: 'server/websocket/client-socket.js', find: 'this.#below.cork()', replace: '' }],
  },
  {
    without: 'bufferutil: unmasked in JavaScript',
    costs: ['bulk', 'small'],
    changes: [
      {
        file: 'server/websocket/fast-path.js',
        find: 'nativeUnmask() ?? unmaskInJavaScript',
        replace: 'unmaskInJavaScript',
      },
    ],
  },
  {
    without: 'a mailbox store that answers at once: promises',
    costs: ['bulk', 'small', 'pairing'],
    changes: [
      {
        file: 'server/main.js',
        find: 'mailboxes: new MemoryMailboxStore()',
        replace: `mailboxes: new Proxy(new MemoryMailboxStore(), {
          get: (store, name) => {
            const value = Reflect.get(store, name, store)
            return typeof value === 'function' ? async (...args) => value.apply(store, args) : value
          },
        })`,
      },
    ],
  },
  {
    without: 'the growth that V8 is allowed before it collects',
    costs: ['bulk'],
    changes: [{ file: 'server/resources.js', find: `['--heap-growing-percent=300']`, replace: '[]' }],
  },
  {
    without: 'letting go of the upgrade’s request',
    costs: ['socket'],
    changes: [
      { file: 'server/websocket/route.js', find: `socket.off('error', listener)`, replace: '' },
      {
        file: 'server/websocket/route.js',
        find: 'answers.get(request)?.detachSocket(request.raw.socket)',
        replace: '',
      },
    ],
  },
]

export const optimisations: Section = {
  name: 'optimisations',
  about: 'what code that is there for speed alone is worth: this build, and copies of it that lack one of these',
  run: async ({ plan, report }) => {
    const builds = new Map<Build, readonly CostId[]>()
    const all = new Set(OPTIMISATIONS.flatMap(({ costs }) => costs))
    builds.set(
      { name: 'this build', dist: DIST },
      (Object.keys(COSTS) as CostId[]).filter((id) => all.has(id)),
    )
    for (const { without, costs, changes } of OPTIMISATIONS) {
      builds.set(changedBuild(without, changes), costs)
    }
    await withAgents(1, async ([agent]) => {
      if (!agent) return
      const outcomes = await compare(agent, builds, plan.builds)
      report.table(ratioTable('Optimisations: what the relay costs without each of them', outcomes))
    })
  },
}
