import { SETTINGS } from '../../support/setting.ts'
import type { Setting } from './relays.ts'
import type { Nap } from './sleepers.ts'

/** How much of everything is done. */
export interface Plan {
  /** Chooses everything that is random. */
  readonly seed: string
  /** Connections to cut. */
  readonly cuts: number
  readonly slow: { readonly pairings: number; readonly kib: number }
  readonly naps: readonly Nap[]
  readonly killsPerPhase: number
  readonly killsAlone: number
  /** Waits until Redis has forgotten everything by itself, a minute and a half. */
  readonly waitForKeys: boolean
  /** Clusters that are killed side by side. */
  readonly clusters: number
  readonly rollingRestarts: number
  readonly stormSockets: number
  /** Kills of the command line, in each of these settings. */
  readonly resends: { readonly settings: readonly Setting[]; readonly kills: number }
  /** Settings in which a session is lost at each message. */
  readonly lastWords: readonly Setting[]
  /** Of two hours of simulated clock. */
  readonly minutesBetweenLives: number
}

/** The plan of the tests. A device sleeps for a moment of real time, while the relay's clock is moved on. */
export const SHORT: Plan = {
  seed: 'pairlay',
  cuts: 500,
  slow: { pairings: 6, kib: 256 },
  naps: [
    { who: ['receiver'], seconds: 2, relaySeconds: 60 },
    { who: ['sender'], seconds: 2, relaySeconds: 60 },
    { who: ['receiver'], seconds: 1, relaySeconds: 90 },
  ],
  killsPerPhase: 2,
  killsAlone: 10,
  waitForKeys: false,
  clusters: 4,
  rollingRestarts: 1,
  stormSockets: 2_000,
  resends: { settings: SETTINGS, kills: 13 },
  lastWords: ['memory'],
  minutesBetweenLives: 3,
}

/** The plan of `npm run chaos`: all sleep is real. After 75 s without an answer the relay cuts a socket. */
export const LONG: Plan = {
  ...SHORT,
  slow: { pairings: 12, kib: 2_048 },
  naps: [
    { who: ['receiver'], seconds: 60, relaySeconds: 0 },
    { who: ['sender'], seconds: 60, relaySeconds: 0 },
    { who: ['sender', 'receiver'], seconds: 60, relaySeconds: 0 },
    { who: ['receiver'], seconds: 110, relaySeconds: 0 },
    { who: ['sender'], seconds: 110, relaySeconds: 0 },
  ],
  killsPerPhase: 12,
  resends: { settings: SETTINGS, kills: 50 },
  lastWords: SETTINGS,
  killsAlone: 57,
  waitForKeys: true,
  rollingRestarts: 5,
  minutesBetweenLives: 1,
}

/** A plan with so many times the repetitions. */
export function times(plan: Plan, factor: number): Plan {
  return {
    ...plan,
    cuts: plan.cuts * factor,
    slow: { ...plan.slow, pairings: plan.slow.pairings * factor },
    killsPerPhase: plan.killsPerPhase * factor,
    killsAlone: plan.killsAlone * factor,
    rollingRestarts: plan.rollingRestarts * factor,
    resends: { ...plan.resends, kills: plan.resends.kills * factor },
  }
}
