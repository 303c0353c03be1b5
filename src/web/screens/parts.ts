import type { Controller } from '../flow/controller.ts'
import type { State } from '../flow/state.ts'

/** Material of a screen. */
export interface Context {
  readonly state: State
  readonly controller: Controller
  /** The relay's address, without a slash at its end. */
  readonly relay: string
  /** Asks before something is thrown away: resolves with whether to do it. */
  readonly confirm: (question: string, yes: string, no: string) => Promise<boolean>
}

/** A screen: the title of the page, and its elements; the first is its heading. */
export interface Rendered {
  readonly title: string
  readonly body: readonly (Node | undefined | false)[]
}
