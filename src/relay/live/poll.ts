import { LONG_POLL_MAX_MS, POLL_LEASE_MS } from '../../protocol/limits.ts'
import type { ChannelRow, View } from '../../protocol/view.ts'
import { requireCurrent } from '../session/authorize.ts'
import { expireIfDue } from '../session/changes.ts'
import { stayAttached } from '../session/presence.ts'
import { type Party, presenceOf, type Session } from '../session/session.ts'
import { versionOf } from '../session/view.ts'
import { HeldPoll } from './held-poll.ts'
import type { LiveSession } from './live-session.ts'
import type { RelayNode } from './node.ts'

/** The caller's knowledge. The answer is held while all of it is current. */
export interface Poll {
  readonly version: string | undefined
  readonly waitMs: number
  /** Which attach over HTTP the caller goes by. */
  readonly attachment?: string | undefined
  /** For a role attached over HTTP, of each channel: the last frame fetched, and the last own one that it knows to be acked. */
  readonly channels?:
    | readonly { readonly channel: number; readonly fetched: number; readonly acked: number }[]
    | undefined
}

/** The caller's view, held while what it knows is current, at most `waitMs`, then the same view again. */
export async function poll(node: RelayNode, sessionId: string, token: string, asked: Poll): Promise<View> {
  const { clock } = node.ports
  const until = clock.now() + Math.min(asked.waitMs, LONG_POLL_MAX_MS)
  for (;;) {
    const live = node.keep(sessionId)
    const held = new HeldPoll(until)
    // Held before the session is read, so that no change falls in between.
    live.polls = [...live.polls, held]
    try {
      const { session, party } = await node.authorize(sessionId, token)
      const settled = expireIfDue(session, clock.now())
      requireCurrent({ session: settled, party }, asked.attachment)
      if (asked.channels) {
        held.fetches = party
        await stay(node, live, settled, party)
      }
      const ends = live.channels.endsOf(settled, party)
      const { rows, isWhole } = await live.channels.rows(settled, ends, asked.channels !== undefined)
      // A channel that has ended meanwhile would seem to have lost its frames.
      if (!isWhole && (await node.ports.sessions.get(sessionId))?.version !== session.version) continue
      const version = versionOf(settled, live.channels.version)
      const isCurrent = version === asked.version && settled.state === 'open' && !isNews(rows, asked)
      if (!isCurrent || clock.now() >= until || node.isDraining) return live.viewOf(settled, party, rows)
      await held.woken
    } finally {
      live.polls = live.polls.filter((each) => each !== held)
      live.forgetIfIdle()
    }
  }
}

/** Keeps a role attached that asks over HTTP. */
async function stay({ ports }: RelayNode, live: LiveSession, session: Session, party: Party): Promise<void> {
  if (presenceOf(session, party)?.via !== 'http') return
  live.askedUntil = ports.clock.now() + POLL_LEASE_MS
  const renewed = stayAttached(session, party, ports.clock.now())
  if (renewed === session) return
  const { version } = await ports.sessions.update(session.id, (current, now) => stayAttached(current, party, now))
  if (version !== session.version) ports.bus.wake(session.id, { about: 'session' })
}

/** Reports whether there is something to fetch, or an ack, that the caller does not know. */
function isNews(rows: readonly ChannelRow[], { channels = [] }: Poll): boolean {
  const known = new Map(channels.map((each) => [each.channel, each]))
  return rows.some(({ channel, acked, available = 0 }) => {
    const mine = known.get(channel)
    return mine !== undefined && (acked > mine.acked || available > mine.fetched)
  })
}
