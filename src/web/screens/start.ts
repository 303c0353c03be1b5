import { button, h, heading, theirs } from '../dom.ts'
import { DEVICES_MAX } from '../flow/next.ts'
import type { Item } from '../flow/state.ts'
import { count, size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { codeField } from './code-field.ts'
import { earlier, inApp } from './earlier.ts'
import type { Context, Rendered } from './parts.ts'
import { chooser } from './sources.ts'

/** Rows of a list that are shown; what is beyond is counted. */
const ROWS_MAX = 100

/** Where everything begins: something to send, or a code to enter. */
export function start(context: Context): Rendered {
  return {
    title: WORDS.start,
    body: [
      heading(WORDS.start),
      h('p', { class: 'lead' }, WORDS.startMore),
      unreadable(context),
      h(
        'div',
        { class: 'ticket' },
        h('section', { class: 'part' }, h('h2', {}, WORDS.send), chooser(context, 'large', WORDS.dropHere)),
        h(
          'section',
          { class: 'stub' },
          h('h2', {}, WORDS.receive),
          inApp(context),
          h('p', {}, WORDS.enterHere),
          codeField(context),
        ),
      ),
      earlier(context),
    ],
  }
}

/** Lists what was chosen, before there is a code. */
export function chosen(context: Context): Rendered {
  const { state, controller } = context
  const { items } = state
  const sum = size(items.reduce((bytes, item) => bytes + item.bytes, 0))
  const summary =
    items.length === 1
      ? fill('oneFileAndSize', { size: sum })
      : fill('filesAndSize', { n: count(items.length), size: sum })
  const rows = rowsOf(items)
  const more = rows.length - ROWS_MAX
  return {
    title: WORDS.chosen,
    body: [
      heading(WORDS.chosen),
      h('p', { class: 'lead' }, items.every(({ isText }) => isText) ? sum : summary),
      unreadable(context),
      h(
        'div',
        { class: 'card' },
        h(
          'ul',
          { class: 'rows' },
          ...rows.slice(0, ROWS_MAX).map((row) => rowOf(context, row)),
          more > 0 && h('li', { class: 'quiet' }, fill('andMore', { n: count(more) })),
        ),
        chooser(context, 'small', WORDS.addMore),
        h('details', {}, h('summary', {}, WORDS.moreOptions), devices(context)),
        h('p', { class: 'quiet' }, WORDS.nextCode),
        h(
          'div',
          { class: 'buttons next' },
          button(WORDS.getCode, () => controller.getCode(), 'main'),
          button(WORDS.back, () => controller.tell({ is: 'back' })),
        ),
      ),
    ],
  }
}

/** A file, a text, or a folder with all that is in it. */
interface Row {
  readonly name: string
  readonly items: Item[]
  readonly isFolder: boolean
}

function rowsOf(items: readonly Item[]): Row[] {
  const rows: Row[] = []
  const folders = new Map<string, Row>()
  for (const item of items) {
    const [top = item.name, ...rest] = item.isText ? [] : item.name.split('/')
    const known = rest.length > 0 ? folders.get(top) : undefined
    if (known) {
      known.items.push(item)
      continue
    }
    const row = { name: item.isText ? WORDS.aText : top, items: [item], isFolder: rest.length > 0 }
    rows.push(row)
    if (row.isFolder) folders.set(top, row)
  }
  return rows
}

function rowOf({ controller }: Context, { name, items, isFolder }: Row): HTMLElement {
  const bytes = items.reduce((sum, item) => sum + item.bytes, 0)
  const remove = () => controller.tell({ is: 'remove', items: items.map(({ id }) => id) })
  return h(
    'li',
    {},
    h('span', { class: 'kind', 'aria-hidden': 'true' }, isFolder ? '/' : kindOf(name, items)),
    h(
      'span',
      { class: 'name' },
      theirs(name),
      h(
        'span',
        { class: 'quiet' },
        isFolder ? `${fill('filesIn', { n: count(items.length) })}, ${size(bytes)}` : size(bytes),
      ),
    ),
    h('button', { type: 'button', class: 'icon', 'aria-label': fill('remove', { name }), onclick: remove }, '×'),
  )
}

/** Up to four letters that tell what it is: a file's extension. */
function kindOf(name: string, [item]: readonly Item[]): string {
  if (item?.isText) return 'Aa'
  return /\.([A-Za-z0-9]{1,4})$/.exec(name)?.[1]?.toUpperCase() ?? '·'
}

function devices({ state, controller }: Context): HTMLElement {
  const select = h('select', {
    id: 'devices',
    onchange: (event) => {
      const { value } = event.currentTarget as HTMLSelectElement
      controller.tell({ is: 'wanted', devices: Number(value) })
    },
  })
  for (let n = 1; n <= DEVICES_MAX; n++)
    select.append(h('option', { value: String(n), selected: n === state.wanted }, count(n)))
  return h('p', { class: 'field' }, h('label', { htmlFor: 'devices' }, WORDS.devices), select)
}

function unreadable({ state }: Context): HTMLElement | undefined {
  const { unreadable: name } = state
  if (name === undefined) return undefined
  const [before = '', after = ''] = WORDS.unreadable.split('{name}')
  return h('p', { class: 'warning', 'data-key': 'unreadable' }, before, theirs(name), after)
}
