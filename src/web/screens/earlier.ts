import { button, buttons, h, theirs } from '../dom.ts'
import { count, percent, size } from '../format.ts'
import { canDownload } from '../save/downloads.ts'
import type { Earlier } from '../save/earlier.ts'
import { fill, WORDS } from '../words.ts'
import { copyButton } from './copy-button.ts'
import type { Context } from './parts.ts'

/** Lists what was received on an earlier visit and is still here. */
export function earlier({ state, controller }: Context): HTMLElement | undefined {
  if (state.earlier.length === 0) return undefined
  return h(
    'section',
    { class: 'card earlier' },
    h('h2', {}, WORDS.earlier),
    h('ul', { class: 'rows' }, ...state.earlier.map((each) => row(controller, each))),
  )
}

function row(
  { incoming }: Context['controller'],
  { token, names, count: files, bytes, at, have }: Earlier,
): HTMLElement {
  const isWhole = have === undefined
  const more = files > names.length ? ` + ${count(files - names.length)}` : ''
  const name = h('span', { class: 'name' }, theirs(names.join(', ')), more)
  const when = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(at)
  const [before = '', after = ''] = fill('notFinished', { name: '{name}', percent: percent(have ?? 0, bytes) }).split(
    '{name}',
  )
  return h(
    'li',
    { 'data-keep': `${token} ${have ?? 'whole'}` },
    ...(isWhole
      ? [name, h('span', { class: 'quiet' }, fill('earlierMore', { size: size(bytes), date: when }))]
      : [h('p', {}, before, name, after)]),
    buttons(
      isWhole && button(WORDS.saveIt, () => void incoming?.saveEarlier(token)),
      button(WORDS.delete, () => void incoming?.deleteEarlier(token)),
    ),
  )
}

/** Said before anything is received in a browser that drops downloads. */
export function inApp({ state }: Context): HTMLElement | undefined {
  if (canDownload()) return undefined
  const link = `${location.origin}${location.pathname}${state.code === '' ? '' : `#${state.code}`}`
  return h(
    'div',
    { class: 'warning', 'data-keep': `in-app ${state.code}` },
    h('p', {}, WORDS.inApp),
    buttons(copyButton(WORDS.copyLink, link)),
  )
}
