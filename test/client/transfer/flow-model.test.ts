import { describe, expect, test } from 'vitest'
import { explore } from './explore.ts'

/**
 * Two apps that each answer posts from inside the loop that reads them, over a window of one frame each way. A model of who
 * waits for whom: the reader of the SDK may wait for nothing, neither for its app nor for its own writer.
 */

type Frame = 'post' | 'take'

interface Side {
  /** `posting` waits until the peer's SDK holds the post; `answers` waits for an allowance. */
  readonly app: 'answers' | 'posting' | 'reads' | 'done'
  /** Posts that the app has read. */
  readonly handled: number
  /** Messages before the writer. */
  readonly queue: readonly Frame[]
  /** The frame in the window, until the peer acks it. */
  readonly inFlight: Frame | undefined
  /** Posts in the place that is set aside for them. */
  readonly posts: number
  /** Things that the reader waits for with an ack to send, where a design lets it wait. */
  readonly reader: 'free' | 'app' | 'writer'
  readonly said: number
  readonly allowed: number
}

type Design = 'reader waits for nothing' | 'app in the reader' | 'writer in the reader'
type State = readonly [Side, Side]

const POSTS = 3
const fresh: Side = {
  app: 'answers',
  handled: 0,
  queue: [],
  inFlight: undefined,
  posts: 0,
  reader: 'free',
  said: 0,
  allowed: 1,
}

/** Every pair in which one part of `me` has made one step. */
function steps(me: Side, peer: Side, design: Design): State[] {
  const next: State[] = []
  const move = (mine: Partial<Side>, its: Partial<Side> = {}) =>
    next.push([
      { ...me, ...mine },
      { ...peer, ...its },
    ])
  const acked = { inFlight: undefined }

  const [first, ...rest] = me.queue
  if (first && !me.inFlight) move({ queue: rest, inFlight: first })

  if (me.app === 'answers' && me.said < me.allowed) {
    move({ app: 'posting', said: me.said + 1, queue: [...me.queue, 'post'] })
  }
  if (me.app === 'posting' && me.inFlight !== 'post' && !me.queue.includes('post')) move({ app: 'reads' })
  if (me.app === 'reads' && me.posts > 0) {
    const handled = me.handled + 1
    const queue: Frame[] = design === 'writer in the reader' ? [...me.queue] : [...me.queue, 'take']
    move({ posts: me.posts - 1, handled, queue, app: handled === POSTS ? 'done' : 'answers' })
  }

  if (me.reader === 'free') {
    if (peer.inFlight === 'take') move({ allowed: me.allowed + 1 }, acked)
    if (peer.inFlight === 'post') {
      const posts = me.posts + 1
      if (design === 'reader waits for nothing') move({ posts }, acked)
      else if (design === 'app in the reader') move({ posts, reader: 'app' })
      else move({ posts, reader: 'writer', queue: [...me.queue, 'take'] })
    }
  }
  const asksForMore = me.app === 'reads' || me.app === 'done'
  if (me.reader === 'app' && me.posts === 0 && asksForMore) move({ reader: 'free' }, acked)
  if (me.reader === 'writer' && !me.queue.includes('take')) move({ reader: 'free' }, acked)
  return next
}

/** The states in which nothing moves any more. */
function ends(design: Design): State[] {
  const moves = ([one, other]: State): State[] => [
    ...steps(one, other, design),
    ...steps(other, one, design).map(([mine, its]): State => [its, mine]),
  ]
  return explore<State>([fresh, fresh], moves).flatMap(({ state, isEnd }) => (isEnd ? [state] : []))
}

const isDone = (state: State) => state.every(({ app, handled }) => app === 'done' && handled === POSTS)

describe('two apps that post from inside the loop that reads posts, a window of one frame', () => {
  test('come to their end, however their parts take turns', () => {
    const all = ends('reader waits for nothing')
    expect(all.length).toBeGreaterThan(0)
    expect(all.filter((state) => !isDone(state))).toEqual([])
  })

  test.each(['app in the reader', 'writer in the reader'] as const)(
    'can wait for each other for ever with the %s',
    (design) => {
      expect(ends(design).filter((state) => !isDone(state)).length).toBeGreaterThan(0)
    },
  )
})
