import { button, buttons, h, heading, symbols, theirs } from '../dom.ts'
import type { Pairing, Question } from '../flow/state.ts'
import { count, shownName } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import type { Context, Rendered } from './parts.ts'
import { goOn, shownCode } from './shown-code.ts'
import { strangers } from './strangers.ts'

/** Asks whom to let in: by a choice of numbers, or by typing where a choice says too little. */
export function question(context: Context, now: Pairing): Rendered {
  const isTyped = now.typing !== 'no'
  const [first] = now.questions
  const why = now.typing === 'wrong_choice' ? WORDS.notItsNumber : isTyped ? WORDS.several : WORDS.questionMore
  return {
    title: WORDS.deviceWaits,
    body: [
      heading(WORDS.question),
      h('p', { class: isTyped ? 'warning' : 'lead' }, why),
      h(
        'div',
        { class: 'card' },
        ...now.questions.map(called),
        now.deciding !== undefined
          ? h('p', { class: 'waiting' }, WORDS.lettingIn)
          : isTyped
            ? typing(context, now)
            : first && choices(context, first),
        strangers(now),
        now.wanted > 1 &&
          h('p', { class: 'strong' }, fill('letInSoFar', { k: count(now.admitted), n: count(now.wanted) })),
        buttons(
          button(isTyped ? WORDS.nobody : WORDS.noneOfThese, () => void nobody(context)),
          goOn(context, now, 'plain'),
        ),
        h('details', {}, h('summary', {}, WORDS.showCodeAgain), ...shownCode(now)),
      ),
    ],
  }
}

async function nobody({ controller, confirm, state }: Context): Promise<void> {
  const sentence = state.peers.length > 0 ? WORDS.nobodyElseSure : WORDS.nobodySure
  if (await confirm(sentence, WORDS.nobodyGetsIt, WORDS.lookAgain)) await controller.deny()
}

/** A line of its own for what a device calls itself. */
function called({ name }: Question): HTMLElement | false {
  const shown = shownName(name)
  if (shown === undefined) return false
  const [before = '', after = ''] = WORDS.callsItself.split('{name}')
  return h('p', { class: 'quiet' }, before, theirs(shown), after)
}

function choices({ controller }: Context, { id, choices: numbers }: Question): HTMLElement {
  const each = numbers.map((number) => {
    const onclick = () => void controller.choose(id, number)
    return h('button', { type: 'button', class: 'choice', onclick }, symbols(number, 'digits'))
  })
  return h('div', { class: 'choices', 'data-key': `choices ${id}` }, ...each)
}

function typing({ controller }: Context, now: Pairing): HTMLElement {
  const onsubmit = (event: SubmitEvent) => {
    event.preventDefault()
    const input = (event.currentTarget as HTMLFormElement).querySelector('input')
    if (input) void controller.type(input.value)
  }
  const input = h('input', {
    id: 'number',
    class: 'code',
    inputMode: 'numeric',
    autocomplete: 'off',
    enterKeyHint: 'go',
    'aria-describedby': 'number-problem',
  })
  if (now.isUnknownNumber) input.setAttribute('aria-invalid', 'true')
  return h(
    'form',
    { noValidate: true, onsubmit },
    h('label', { htmlFor: 'number' }, WORDS.numberThere),
    input,
    h('p', { class: 'problem', id: 'number-problem' }, now.isUnknownNumber ? WORDS.noSuchNumber : ''),
    buttons(h('button', { type: 'submit', class: 'main' }, WORDS.letIn)),
  )
}
