import { announcement, countdown, isAskedAnew } from './announce.ts'
import { confirm } from './dialog.ts'
import { h, morph } from './dom.ts'
import type { Controller } from './flow/controller.ts'
import { START, type State } from './flow/state.ts'
import { clock } from './format.ts'
import { connected } from './screens/connected.ts'
import { enter, moment, number } from './screens/joining.ts'
import { end, sure } from './screens/other.ts'
import { pairing } from './screens/pairing.ts'
import type { Context, Rendered } from './screens/parts.ts'
import { scanning } from './screens/scan.ts'
import { chosen, start } from './screens/start.ts'
import { text } from './screens/text.ts'
import { WORDS } from './words.ts'

const TICK_MS = 1_000
const VIBRATION_MS = 200

/** Shows the state: the screen, the title, what is said. Another screen takes the focus. */
export class View {
  version = ''
  readonly #relay: () => string
  readonly #view = element('#view')
  readonly #polite = element('#polite')
  readonly #assertive = element('#assertive')
  #key = ''
  #state = START
  #left = new Map<string, number>()

  constructor(relay: () => string) {
    this.#relay = relay
    setInterval(() => this.#tick(), TICK_MS)
  }

  show(state: State, controller: Controller): void {
    const context: Context = { state, controller, relay: this.#relay(), confirm }
    const { title, body } = state.isAsking ? sure(context, this.version) : rendered(context)
    const key = keyOf(state)
    const isNew = key !== this.#key
    this.#key = key
    if (document.title !== `${title} – Pairlay`) document.title = `${title} – Pairlay`
    const nodes = [connectionLine(state), ...body].filter((node) => node !== undefined && node !== false)
    if (isNew) {
      this.#replace(nodes)
      // A reader who goes on from the new screen finds no words about the one before.
      for (const region of [this.#polite, this.#assertive]) region.textContent = ''
    } else this.#change(nodes)
    this.#announce(this.#state, state, isNew)
    this.#state = state
  }

  #replace(nodes: readonly Node[]): void {
    this.#view.replaceChildren(...nodes)
    const first = this.#view.querySelector<HTMLElement>('[data-focus]') ?? this.#view.querySelector('h1')
    first?.focus()
    scrollTo(0, 0)
  }

  /** Changes what is there. A focus whose element goes stays in its row, or goes to the heading where the row goes too. */
  #change(nodes: readonly Node[]): void {
    const focused = document.activeElement
    const row = focused?.closest('li')
    const wasInside = this.#view.contains(focused)
    morph(this.#view, nodes)
    if (!wasInside || this.#view.contains(document.activeElement)) return
    const kept = row?.isConnected ? (row.querySelector<HTMLElement>('button, a') ?? row) : undefined
    ;(kept ?? this.#view.querySelector<HTMLElement>('h1'))?.focus()
  }

  /** Says what has changed, but for a heading that is said because the focus has come to it. */
  #announce(before: State, after: State, isNew: boolean): void {
    const { polite, assertive } = announcement(before, after)
    if (polite !== undefined) say(this.#polite, polite)
    if (assertive !== undefined && !(isNew && document.activeElement?.textContent === assertive))
      say(this.#assertive, assertive)
    if (isAskedAnew(before, after)) navigator.vibrate?.(VIBRATION_MS)
  }

  /** Moves what counts down. It is said now and then only. */
  #tick(): void {
    const left = new Map<string, number>()
    for (const shown of document.querySelectorAll<HTMLElement>('[data-until]')) {
      const { until = '' } = shown.dataset
      const now = Number(until) - performance.now()
      shown.textContent = clock(now)
      left.set(until, now)
      const words = countdown(this.#left.get(until) ?? now, now)
      if (words !== undefined) say(this.#polite, words)
    }
    this.#left = left
  }
}

function element(selector: string): HTMLElement {
  const found = document.querySelector<HTMLElement>(selector)
  if (!found) throw new Error(`the page has no ${selector}`)
  return found
}

/** Has a screen reader say something, also what it has said before. */
function say(region: HTMLElement, words: string): void {
  region.textContent = region.textContent === words ? `${words}\u00a0` : words
}

/** Names the screen: another one takes the focus. */
function keyOf({ screen, pairing: now, isAsking, isWriting }: State): string {
  if (isAsking) return 'sure'
  if (screen.is === 'connected') return isWriting ? 'connected, writing' : 'connected'
  if (screen.is !== 'pairing') return screen.is
  return (now?.questions.length ?? 0) > 0 ? `question ${now?.typing}` : 'code'
}

function rendered(context: Context): Rendered {
  const { screen } = context.state
  switch (screen.is) {
    case 'start':
      return start(context)
    case 'chosen':
      return chosen(context)
    case 'text':
      return text(context)
    case 'opening':
      return moment(context, WORDS.opening)
    case 'pairing':
      return pairing(context)
    case 'enter':
      return enter(context)
    case 'scan':
      return scanning(context)
    case 'looking':
      return moment(context, WORDS.looking)
    case 'number':
      return number(context)
    case 'connected':
      return connected(context)
    case 'end':
      return end(context)
    default:
      return screen satisfies never
  }
}

function connectionLine({ connection, screen, left }: State): HTMLElement | false {
  const isSession = ['opening', 'pairing', 'looking', 'number', 'connected'].includes(screen.is) && left === undefined
  if (!isSession || connection === 'connected') return false
  return h('p', { class: 'warning', 'data-key': 'connection' }, connection === 'fallback' ? WORDS.fallback : WORDS.lost)
}
