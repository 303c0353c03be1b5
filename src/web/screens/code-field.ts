import { PairingCodeError, parsePairingCode } from '../../crypto/pairing-code.ts'
import { h } from '../dom.ts'
import { fill, WORDS } from '../words.ts'
import type { Context } from './parts.ts'

const EXAMPLE = 'K7QM3-XPDT28'
const SYMBOLS = 11

const REASONS = { symbol: WORDS.codeLetters, length: WORDS.codeLength, check: WORDS.codeWrong } as const

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

/** Upper case, with a dash after five symbols. A pasted link gives the code in it. */
export function tidy(text: string): string {
  const [, fragment = text] = /#(.*)$/.exec(text) ?? []
  const upper = fragment.toUpperCase()
  const plain = upper.replaceAll(/[\s-]/g, '')
  if (plain.length < 5 || /[^0-9A-Z]/.test(plain)) return upper
  if (plain.length === 5) return upper.endsWith('-') ? `${plain}-` : plain
  return `${plain.slice(0, 5)}-${plain.slice(5)}`
}

/** What is wrong with a code, in words; undefined for one that can be right. */
export function faultOf(text: string): string | undefined {
  try {
    parsePairingCode(text)
    return undefined
  } catch (error) {
    if (!(error instanceof PairingCodeError)) throw error
    return REASONS[error.reason]
  }
}

function symbolsIn(text: string): number {
  return text.replaceAll(/[^0-9A-Za-z]/g, '').length
}
