import { faultOf, SYMBOLS, symbolsIn, tidy } from '../code-text.ts'
import { h } from '../dom.ts'
import { fill, WORDS } from '../words.ts'
import type { Context } from './parts.ts'

const EXAMPLE = 'K7QM3-XPDT28'

/** The field for a code, with the button that enters it. Nothing is entered by itself. */
export function codeField({ state, controller }: Context, enter: (code: string) => void): HTMLElement {
  const problem = h('p', { class: 'problem', id: 'code-problem', role: 'alert' })
  const input = h('input', {
    id: 'code',
    class: 'code',
    value: state.code,
    autocapitalize: 'characters',
    autocomplete: 'off',
    spellcheck: false,
    enterKeyHint: 'go',
    'aria-describedby': 'code-problem code-example',
  })
  const show = (fault: string | undefined) => {
    problem.textContent = fault ?? ''
    if (fault === undefined) input.removeAttribute('aria-invalid')
    else input.setAttribute('aria-invalid', 'true')
  }
  input.oninput = () => {
    if (input.selectionStart === input.value.length) input.value = tidy(input.value)
    show(symbolsIn(input.value) >= SYMBOLS ? faultOf(input.value) : undefined)
  }
  const form = h(
    'form',
    {
      'data-keep': 'code',
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault()
        const fault = faultOf(input.value)
        show(fault)
        if (fault !== undefined) return input.focus()
        controller.tell({ is: 'code_typed', code: input.value })
        enter(input.value)
      },
    },
    h('label', { htmlFor: 'code' }, WORDS.code),
    input,
    h('p', { class: 'quiet', id: 'code-example' }, fill('codeExample', { code: EXAMPLE })),
    problem,
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, WORDS.connect)),
  )
  return form
}
