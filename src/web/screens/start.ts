import { button, h, theirs } from '../dom.ts'
import { count, size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { codeField } from './code-field.ts'
import { earlier, inApp } from './earlier.ts'
import type { Context, Rendered } from './parts.ts'
import { chooser } from './sources.ts'

/** Where everything begins: something to send, or a code to enter. */
export function start(context: Context): Rendered {
  const { controller } = context
  return {
    title: WORDS.start,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.start),
      h('p', { class: 'lead' }, WORDS.startMore),
      unreadable(context),
      h(
        'div',
        { class: 'halves' },
        h('section', {}, h('h2', {}, WORDS.send), chooser(context, WORDS.dropHere)),
        h(
          'section',
          {},
          h('h2', {}, WORDS.receive),
          inApp(context),
          h('p', {}, WORDS.enterHere),
          codeField(context, (code) => void controller.join(code)),
        ),
      ),
      earlier(context),
    ],
  }
}

/** What was chosen, before there is a code. */
export function chosen(context: Context): Rendered {
  const { state, controller } = context
  const bytes = state.items.reduce((sum, item) => sum + item.bytes, 0)
  const [only] = state.items
  const summary =
    state.items.length === 1 && only
      ? fill('oneFileAndSize', { name: only.name, size: size(bytes) })
      : fill('filesAndSize', { n: count(state.items.length), size: size(bytes) })
  const rows = state.items.map((item) =>
    h(
      'li',
      {},
      h('span', { class: 'name' }, theirs(item.isText ? WORDS.aText : item.name)),
      h('span', { class: 'quiet' }, size(item.bytes)),
      h(
        'button',
        {
          type: 'button',
          class: 'icon',
          'aria-label': fill('remove', { name: item.name }),
          onclick: () => controller.tell({ is: 'remove', item: item.id }),
        },
        '×',
      ),
    ),
  )
  const devices = h('select', {
    onchange: () => controller.tell({ is: 'wanted', devices: Number(devices.value) }),
  })
  for (let n = 1; n <= 8; n++) devices.append(h('option', { value: String(n), selected: n === state.wanted }, count(n)))
  return {
    title: WORDS.chosen,
    announce: state.items.length === 1 ? WORDS.oneFileToSend : fill('filesToSend', { n: count(state.items.length) }),
    body: [
      h('h1', { tabIndex: -1 }, WORDS.chosen),
      unreadable(context),
      h('ul', { class: 'rows' }, ...rows),
      h('p', { class: 'quiet' }, summary),
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.getCode, () => void controller.getCode(), 'main'),
      ),
      chooser(context, WORDS.addMore),
      h('details', {}, h('summary', {}, WORDS.moreOptions), h('label', {}, WORDS.devices, devices)),
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.back, () => controller.tell({ is: 'back' })),
      ),
    ],
  }
}

function unreadable({ state }: Context): HTMLElement | undefined {
  return state.unreadable === undefined
    ? undefined
    : h('p', { class: 'warning', role: 'alert' }, fill('unreadable', { name: state.unreadable }))
}
