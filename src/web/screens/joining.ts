import { button, buttons, h, heading, symbols } from '../dom.ts'
import { WORDS } from '../words.ts'
import { codeField } from './code-field.ts'
import { inApp } from './earlier.ts'
import type { Context, Rendered } from './parts.ts'

/** The code field by itself: a link was opened, a code was scanned, or one did not work. */
export function enter(context: Context): Rendered {
  const { state, controller } = context
  const { screen } = state
  const isFilled = screen.is === 'enter' && screen.from !== undefined
  return {
    title: WORDS.receive,
    body: [
      heading(WORDS.receive),
      h('p', { class: 'lead' }, isFilled ? WORDS.fromLink : WORDS.enterHere),
      h(
        'div',
        { class: 'card narrow' },
        inApp(context),
        codeField(context, isFilled ? 'connect' : 'none'),
        buttons(button(WORDS.back, () => controller.tell({ is: 'back' }))),
      ),
    ],
  }
}

/** Nothing but these words, while something takes a moment. */
export function moment({ controller }: Context, words: string): Rendered {
  return {
    title: words,
    body: [
      heading(words),
      h(
        'div',
        { class: 'card narrow middle' },
        h('p', { class: 'waiting large' }),
        buttons(button(WORDS.cancel, () => void controller.leave())),
      ),
    ],
  }
}

/** The number that the sender's person has to find. */
export function number({ state, controller }: Context): Rendered {
  const { number: own = '', isSenderAway = false } = state.joining ?? {}
  return {
    title: WORDS.number,
    body: [
      heading(WORDS.number),
      h('p', { class: 'lead' }, WORDS.numberMore),
      h(
        'div',
        { class: 'card middle' },
        h('p', { class: 'tiles-row' }, symbols(own, 'tiles number')),
        isSenderAway
          ? h('p', { class: 'warning' }, WORDS.senderAway)
          : h('p', { class: 'waiting' }, WORDS.waitingForThat),
        buttons(button(WORDS.leave, () => void controller.leave())),
      ),
    ],
  }
}
