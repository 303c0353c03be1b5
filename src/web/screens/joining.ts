import { button, h, symbols } from '../dom.ts'
import { WORDS } from '../words.ts'
import { codeField } from './code-field.ts'
import { inApp } from './earlier.ts'
import { spaced } from './pairing.ts'
import type { Context, Rendered } from './parts.ts'

/** The code field by itself: a link was opened, or a code did not work. */
export function enter(context: Context): Rendered {
  const { state, controller } = context
  const { screen } = state
  const from = screen.is === 'enter' ? screen.from : undefined
  return {
    title: WORDS.enter,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.enter),
      inApp(context),
      h('p', {}, from !== undefined ? WORDS.fromLink : WORDS.enterHere),
      codeField(context, (code) => void controller.join(code)),
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.back, () => controller.tell({ is: 'back' })),
      ),
    ],
  }
}

export function looking({ controller }: Context): Rendered {
  return {
    title: WORDS.looking,
    body: [
      h('h1', { tabIndex: -1, class: 'waiting' }, WORDS.looking),
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.cancel, () => void controller.leave()),
      ),
    ],
  }
}

/** The number that the sender's person has to find. */
export function number({ state, controller }: Context): Rendered {
  const { number: own = '', isSenderAway = false } = state.joining ?? {}
  return {
    title: WORDS.number,
    announce: [...own].join(' '),
    body: [
      h('h1', { tabIndex: -1 }, WORDS.number),
      h('p', { class: 'big number' }, symbols(spaced(own), 'symbols')),
      h('p', {}, WORDS.numberMore),
      isSenderAway
        ? h('p', { class: 'warning', role: 'status' }, WORDS.senderAway)
        : h('p', { class: 'waiting', role: 'status' }, WORDS.waitingForThat),
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.leave, () => void controller.leave()),
      ),
    ],
  }
}

export function opening(_: Context): Rendered {
  return { title: WORDS.opening, body: [h('h1', { tabIndex: -1, class: 'waiting' }, WORDS.opening)] }
}

/** A text to send. */
export function text({ controller }: Context, maxBytes: number): Rendered {
  const area = h('textarea', { id: 'text', rows: 8, dir: 'auto', 'aria-describedby': 'text-problem' })
  const problem = h('p', { class: 'problem', id: 'text-problem', role: 'alert' })
  const done = () => {
    if (new TextEncoder().encode(area.value).length > maxBytes) problem.textContent = WORDS.textTooLong
    else if (area.value === '') area.focus()
    else controller.addText(area.value, WORDS.aText)
  }
  return {
    title: WORDS.textToSend,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.writeText),
      h('label', { htmlFor: 'text' }, WORDS.textToSend),
      area,
      problem,
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.send, done, 'main'),
        button(WORDS.back, () => controller.tell({ is: 'back' })),
      ),
    ],
  }
}
