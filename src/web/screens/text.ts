import { button, buttons, h, heading } from '../dom.ts'
import { TEXT_MAX_BYTES } from '../flow/texts.ts'
import { WORDS } from '../words.ts'
import type { Context, Rendered } from './parts.ts'

/** A text to send, before there is a code. */
export function text(context: Context): Rendered {
  return {
    title: WORDS.textToSend,
    body: [
      heading(WORDS.writeText),
      h(
        'div',
        { class: 'card' },
        textField(context, WORDS.getCode, () => context.controller.getCode()),
      ),
    ],
  }
}

/** A field for a text, with the button that takes it; `then` follows. */
export function textField({ controller }: Context, send: string, then: () => void = () => {}): HTMLElement {
  const area = h('textarea', { id: 'text', rows: 6, dir: 'auto', 'aria-describedby': 'text-problem', 'data-focus': '' })
  area.value = controller.takeDraft()
  const problem = h('p', { class: 'problem', id: 'text-problem', role: 'alert' })
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    if (new TextEncoder().encode(area.value).length > TEXT_MAX_BYTES) problem.textContent = WORDS.textTooLong
    else if (area.value === '') area.focus()
    else {
      controller.addText(area.value, WORDS.aText)
      then()
    }
  }
  return h(
    'form',
    { 'data-keep': 'text', onsubmit: submit },
    h('label', { htmlFor: 'text' }, WORDS.textToSend),
    area,
    problem,
    buttons(
      h('button', { type: 'submit', class: 'main' }, send),
      button(WORDS.back, () => controller.tell({ is: 'back' })),
    ),
  )
}
