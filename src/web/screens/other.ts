import { button, h } from '../dom.ts'
import { ENDS } from '../ends.ts'
import { fill, WORDS } from '../words.ts'
import type { Context, Rendered } from './parts.ts'

/** How a session ended, and what to do next. */
export function end({ state, controller }: Context): Rendered {
  const { screen } = state
  if (screen.is !== 'end') return { title: '', body: [] }
  const { title, more } = ENDS[screen.code]
  const isSender = screen.role === 'sender'
  const next = isSender
    ? button(WORDS.again, () => void controller.getCode(), 'main')
    : button(WORDS.enterAgain, () => controller.tell({ is: 'link', code: state.code }), 'main')
  const hasItems = !isSender || state.items.length > 0
  return {
    title,
    announce: title,
    body: [
      h('h1', { tabIndex: -1 }, title),
      more !== '' && h('p', {}, more),
      h(
        'div',
        { class: 'buttons' },
        hasItems && next,
        button(WORDS.toStart, () => controller.tell({ is: 'reset' })),
      ),
    ],
  }
}

/** Who can read what is sent, and what to do for whom that is not enough. */
export function sure({ controller }: Context, version: string): Rendered {
  const { host } = location
  return {
    title: WORDS.sureTitle,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.sureTitle),
      h('p', {}, fill('sure', { host })),
      h('ul', {}, ...[WORDS.sureCli, WORDS.sureFile, fill('sureVerify', { host })].map((each) => h('li', {}, each))),
      h('p', { class: 'quiet' }, fill('sureVersion', { version })),
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.back, () => controller.tell({ is: 'ask', open: false })),
      ),
    ],
  }
}
