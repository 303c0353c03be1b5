import { faultOf, linkIn, SYMBOLS, symbolsIn, tidy } from '../code-text.ts'
import { button, buttons, type Child, h } from '../dom.ts'
import { sides } from '../late.ts'
import { fill, WORDS } from '../words.ts'
import type { Context } from './parts.ts'
import { mayScan } from './scan.ts'

const EXAMPLE = 'K7QM3-XPDT28'

/** The field for a code, with the button that enters it. Nothing is entered by itself. */
export function codeField(context: Context, focus: 'connect' | 'none' = 'none'): HTMLElement {
  const { state, controller, relay } = context
  const isFilled = focus === 'connect'
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
  const show = (...fault: Child[]) => {
    problem.replaceChildren(...fault.filter((each) => each !== undefined && each !== false))
    if (fault.length === 0) input.removeAttribute('aria-invalid')
    else input.setAttribute('aria-invalid', 'true')
  }
  input.onfocus = () =>
    void sides().then(
      ({ warmUp }) => warmUp(),
      () => {},
    )
  input.oninput = () => {
    const link = linkIn(input.value)
    if (link && link.place !== relay) return show(...elsewhere(link.place, input.value))
    if (input.selectionStart === input.value.length) input.value = tidy(input.value)
    const fault = symbolsIn(input.value) >= SYMBOLS ? faultOf(input.value) : undefined
    show(...(fault === undefined ? [] : [fault]))
  }
  const enter = (event: SubmitEvent) => {
    event.preventDefault()
    const link = linkIn(input.value)
    if (link && link.place !== relay) return input.focus()
    const fault = faultOf(input.value)
    show(...(fault === undefined ? [] : [fault]))
    if (fault !== undefined) return input.focus()
    controller.tell({ is: 'code_typed', code: input.value })
    void controller.join(input.value)
  }
  const connect = h('button', { type: 'submit', class: 'main' }, WORDS.connect)
  if (isFilled) connect.setAttribute('data-focus', '')
  return h(
    'form',
    { 'data-keep': `code ${state.code}`, noValidate: true, onsubmit: enter },
    h('label', { htmlFor: 'code' }, WORDS.code),
    input,
    !isFilled && h('p', { class: 'quiet', id: 'code-example' }, fill('codeExample', { code: EXAMPLE })),
    problem,
    buttons(connect, mayScan() && button(WORDS.scan, () => controller.tell({ is: 'scan' }))),
  )
}

function elsewhere(place: string, link: string): Child[] {
  const open = h('a', { href: link.trim(), rel: 'noreferrer' }, WORDS.openItThere)
  return [fill('otherPlace', { address: place }), ' ', open]
}
