/** The life of a code: how long it is shown, and when another follows. Times are in milliseconds, by any one clock. */

/** The longest that one code is shown. */
export const SHOWN_MAX_MS = 900_000
/** How long a code works after another has replaced it. */
export const OVERLAP_MS = 60_000
/** How often another code follows by itself. */
export const RENEWALS_MAX = 3

export interface CodeLife {
  /** The session whose code is shown. */
  readonly session: number
  readonly until: number
  readonly expiresAt: number
  /** The session whose code was shown before, while it still works. */
  readonly before: { readonly session: number; readonly until: number; readonly expiresAt: number } | undefined
  readonly renewals: number
  /** Another code follows only as long as nobody has tried a wrong one: a budget must not renew itself. */
  readonly wasTried: boolean
  /** A device has proved that it knows the code: the code stays until the session ends. */
  readonly isVerified: boolean
  /** Another session is being opened. */
  readonly isOpening: boolean
}

export type LifeEvent =
  | { readonly is: 'tick'; readonly isSeen: boolean }
  | { readonly is: 'opened'; readonly session: number; readonly expiresInMs: number }
  | { readonly is: 'not_opened' }
  | { readonly is: 'tried' }
  | { readonly is: 'verified'; readonly session: number }

export type Order =
  | { readonly is: 'open' }
  | { readonly is: 'cancel'; readonly session: number }
  /** The time of the code is over. */
  | { readonly is: 'end' }

export interface Step {
  readonly life: CodeLife
  readonly orders: readonly Order[]
}

/** The life of a code whose session was opened now. */
export function born(session: number, expiresInMs: number, now: number): CodeLife {
  return {
    ...shownFrom(session, expiresInMs, now),
    before: undefined,
    renewals: 0,
    wasTried: false,
    isVerified: false,
    isOpening: false,
  }
}

/** Reports whether another code follows when the time of this one is over. */
export function isFollowed({ renewals, wasTried, isVerified }: CodeLife): boolean {
  return !isVerified && !wasTried && renewals < RENEWALS_MAX
}

/** Applies an event to a code, and says what is to be done for it. */
export function live(life: CodeLife, event: LifeEvent, now: number): Step {
  switch (event.is) {
    case 'tick':
      return tick(life, event.isSeen, now)
    case 'opened': {
      // A device was verified meanwhile: nobody needs another code.
      if (life.isVerified) return { life: { ...life, isOpening: false }, orders: [cancel(event.session)] }
      const replaced = { session: life.session, until: now + OVERLAP_MS, expiresAt: life.expiresAt }
      const renewed = { ...life, before: replaced, renewals: life.renewals + 1, isOpening: false }
      return {
        life: { ...renewed, ...shownFrom(event.session, event.expiresInMs, now) },
        orders: life.before ? [cancel(life.before.session)] : [],
      }
    }
    case 'not_opened':
      // The code that is there is good until its session ends, and none follows.
      return { life: { ...life, until: life.expiresAt, renewals: RENEWALS_MAX, isOpening: false }, orders: [] }
    case 'tried':
      return { life: { ...life, wasTried: true }, orders: [] }
    case 'verified':
      return verified(life, event.session)
    default:
      return event satisfies never
  }
}

function tick(life: CodeLife, isSeen: boolean, now: number): Step {
  const { before } = life
  const isOver = before !== undefined && now >= before.until
  const kept = isOver ? { ...life, before: undefined } : life
  const orders: Order[] = isOver ? [cancel(before.session)] : []
  if (now < life.until || life.isOpening || life.isVerified) return { life: kept, orders }
  if (!isFollowed(life)) return { life: kept, orders: [...orders, { is: 'end' }] }
  // Nobody reads a new code on a page that is hidden.
  if (!isSeen) return { life: kept, orders: now >= life.expiresAt ? [...orders, { is: 'end' }] : orders }
  return { life: { ...kept, isOpening: true }, orders: [...orders, { is: 'open' }] }
}

function verified(life: CodeLife, session: number): Step {
  const { before } = life
  if (before?.session === session) {
    const { expiresAt } = before
    const back = { ...life, session, until: expiresAt, expiresAt, before: undefined, isVerified: true }
    return { life: back, orders: [cancel(life.session)] }
  }
  if (session !== life.session) return { life, orders: [] }
  const kept = { ...life, until: life.expiresAt, before: undefined, isVerified: true }
  return { life: kept, orders: before ? [cancel(before.session)] : [] }
}

function shownFrom(session: number, expiresInMs: number, now: number) {
  return { session, until: now + Math.min(SHOWN_MAX_MS, expiresInMs / 2), expiresAt: now + expiresInMs }
}

function cancel(session: number): Order {
  return { is: 'cancel', session }
}
