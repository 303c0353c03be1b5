import { button, buttons, h, heading } from '../dom.ts'
import { ENDS } from '../ends.ts'
import { fill, WORDS } from '../words.ts'
import type { Context, Rendered } from './parts.ts'

/** How a session ended, and what to do next. */
export function end(context: Context): Rendered {
  const { state, controller } = context
  const { screen } = state
  if (screen.is !== 'end') return { title: '', body: [] }
  const { title, more } = ENDS[screen.code]
  const toStart = button(WORDS.toStart, () => controller.tell({ is: 'reset' }))
  return {
    title,
    body: [
      heading(title),
      h(
        'div',
        { class: 'card narrow' },
        more !== '' && h('p', { class: 'large' }, more),
        screen.role === 'sender' && state.items.length > 0 && h('p', { class: 'quiet' }, WORDS.stillChosen),
        screen.code === 'access_needed'
          ? password(context, toStart)
          : buttons(...again(context, screen.code, screen.role), toStart),
      ),
    ],
  }
}

/** Asks for what a relay wants from those who send. It stays in this window. */
function password({ controller }: Context, toStart: HTMLElement): HTMLElement {
  const isWrong = controller.accessToken !== undefined
  const input = h('input', { id: 'password', type: 'password', autocomplete: 'off', required: true, maxLength: 512 })
  const give = (event: SubmitEvent) => {
    event.preventDefault()
    const given = input.value.trim()
    if (given === '') return
    controller.accessToken = given
    controller.getCode()
  }
  return h(
    'form',
    { 'data-keep': 'password', onsubmit: give },
    h('label', { htmlFor: 'password' }, WORDS.password),
    input,
    isWrong && h('p', { class: 'problem', role: 'alert' }, WORDS.passwordWrong),
    buttons(h('button', { type: 'submit', class: 'main' }, isWrong ? WORDS.tryAgain : WORDS.getCode), toStart),
  )
}

/** The button that most likely helps: a new code for who sends, the same or another code for who receives. */
function again({ state, controller }: Context, code: keyof typeof ENDS, role: 'sender' | 'receiver'): HTMLElement[] {
  const isRetry = ENDS[code].mayRetry
  if (role === 'sender') {
    if (state.items.length === 0) return []
    return [button(isRetry ? WORDS.tryAgain : WORDS.again, () => controller.getCode(), 'main')]
  }
  if (isRetry) return [button(WORDS.tryAgain, () => void controller.join(state.code), 'main')]
  const kept = code === 'code_not_found' ? state.code : ''
  return [button(WORDS.enterAgain, () => controller.tell({ is: 'link', code: kept }), 'main')]
}

/** Says who can read what is sent, and what to do for whom that is not enough. */
export function sure({ controller }: Context, version: string): Rendered {
  const { host } = location
  const sentences = [WORDS.sureCli, WORDS.sureFile, fill('sureVerify', { host })]
  return {
    title: WORDS.sureTitle,
    body: [
      heading(WORDS.sureTitle),
      h(
        'div',
        { class: 'card narrow' },
        h('p', {}, fill('sure', { host })),
        h('ul', { class: 'ways' }, ...sentences.map((each) => h('li', {}, ...withCode(each)))),
        version !== '' && h('p', { class: 'quiet' }, fill('sureVersion', { version })),
        buttons(button(WORDS.back, () => controller.tell({ is: 'ask', open: false }))),
      ),
    ],
  }
}

/** A sentence whose commands stand between backticks. */
function withCode(sentence: string): Node[] {
  return sentence.split('`').map((part, index) => (index % 2 === 1 ? h('code', {}, part) : new Text(part)))
}
