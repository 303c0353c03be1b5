import type { Party } from '../session/session.ts'

/** A view that somebody waits for over HTTP. */
export class HeldPoll {
  /** When it is answered, whatever happens. */
  readonly until: number
  /** The role that waits for frames and acks. Undefined for one that waits for news of the session alone. */
  fetches: Party | undefined
  readonly woken: Promise<void>
  wake: () => void = () => {}

  constructor(until: number) {
    this.until = until
    this.woken = new Promise((resolve) => {
      this.wake = resolve
    })
  }
}
