import { button, h, symbols, theirs } from '../dom.ts'
import type { Pairing, Question } from '../flow/state.ts'
import { clock, count } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import type { Context, Rendered } from './parts.ts'
import { qrPicture } from './qr.ts'

/** Words by which a letter is read out (ICAO). */
const READ_OUT =
  'Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey Xray Yankee Zulu'.split(
    ' ',
  )

/** The code, or the question who is let in. */
export function pairing(context: Context): Rendered {
  const { state } = context
  const { pairing: now } = state
  if (!now) return { title: '', body: [] }
  return now.questions.length > 0 ? question(context, now) : code(context, now)
}

function code(context: Context, now: Pairing): Rendered {
  const { controller } = context
  const address = now.link.split('/#')[0]?.replace(/^https?:\/\//, '') ?? ''
  const left = h('span', { 'data-until': String(now.goodUntil) }, clock(now.goodUntil - performance.now()))
  const [before = '', after = ''] = (now.isFollowed ? WORDS.goodForNext : WORDS.goodFor).split('{time}')
  return {
    title: WORDS.showCode,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.showCode),
      h(
        'div',
        { class: 'halves code-screen' },
        h('div', { class: 'picture' }, qrPicture(now.link, WORDS.qrOf)),
        h(
          'div',
          {},
          h('p', { class: 'big code' }, symbols(now.code, 'symbols')),
          h('p', {}, fill('openThere', { address })),
          h(
            'div',
            { class: 'buttons' },
            copyButton(WORDS.copyCode, now.code),
            copyButton(WORDS.copyLink, now.link),
            'share' in navigator &&
              button(WORDS.shareLink, () => void navigator.share({ url: now.link }).catch(() => {})),
          ),
          h('details', {}, h('summary', {}, WORDS.readOut), h('p', {}, readOut(now.code))),
          now.isRenewed && h('p', { class: 'warning', role: 'status' }, WORDS.newCode),
          now.isUsedUp
            ? h('p', { class: 'warning', role: 'alert' }, WORDS.usedUp)
            : h('p', { class: 'waiting', role: 'status' }, WORDS.waiting),
          h('p', { class: 'quiet' }, before, left, after),
          strangers(now),
          h('p', { class: 'quiet' }, WORDS.keepOpen),
        ),
      ),
      h(
        'div',
        { class: 'buttons' },
        admitted(context, now),
        button(WORDS.cancel, () => void controller.leave()),
      ),
    ],
  }
}

function question(context: Context, now: Pairing): Rendered {
  const { controller } = context
  const typed = now.typing !== 'no'
  const [first] = now.questions
  const why = now.typing === 'wrong_choice' ? WORDS.notItsNumber : typed ? WORDS.several : WORDS.questionMore
  const names = now.questions.map(({ name }) =>
    name === undefined ? undefined : h('p', { class: 'quiet' }, ...called(fill('callsItself'), name)),
  )
  return {
    title: WORDS.deviceWaits,
    announce: WORDS.question,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.question),
      h('p', typed ? { class: 'warning' } : {}, why),
      ...names,
      typed ? typing(context, now) : first && choices(context, first),
      strangers(now),
      h(
        'div',
        { class: 'buttons' },
        admitted(context, now),
        button(typed ? WORDS.nobody : WORDS.noneOfThese, async () => {
          if (await context.confirm(WORDS.nobodySure, WORDS.nobodyGetsIt, WORDS.lookAgain)) await controller.deny()
        }),
      ),
    ],
  }
}

/** A sentence with a name in it that somebody else wrote. */
function called(sentence: string, name: string): (Node | string)[] {
  const [before = '', after = ''] = sentence.split('{name}')
  // A name may try to look like the number.
  return [before, theirs(name.replaceAll(/\d{3,}/g, '…').slice(0, 40)), after]
}

function choices({ controller }: Context, { id, choices: numbers }: Question): HTMLElement {
  const each = numbers.map((number) => {
    const chosen = h('button', { type: 'button', class: 'choice', onclick: () => void controller.choose(id, number) })
    chosen.append(symbols(spaced(number), 'symbols'))
    return chosen
  })
  return h('div', { class: 'choices' }, ...each)
}

function typing({ controller }: Context, now: Pairing): HTMLElement {
  const input = h('input', {
    id: 'number',
    class: 'code',
    inputMode: 'numeric',
    autocomplete: 'off',
    'aria-describedby': 'number-problem',
  })
  const problem = h(
    'p',
    { class: 'problem', id: 'number-problem', role: 'alert' },
    now.isUnknownNumber ? WORDS.noSuchNumber : '',
  )
  return h(
    'form',
    {
      'data-keep': `typing ${now.isUnknownNumber}`,
      onsubmit: (event: SubmitEvent) => {
        event.preventDefault()
        void controller.type(input.value)
      },
    },
    h('label', { htmlFor: 'number' }, WORDS.numberThere),
    input,
    problem,
    h('div', { class: 'buttons' }, h('button', { type: 'submit', class: 'main' }, WORDS.letIn)),
  )
}

function admitted({ controller }: Context, { admitted: k, wanted: n }: Pairing): HTMLElement | false {
  if (n === 1) return false
  const text = h('span', { class: 'quiet' }, fill('letInSoFar', { k: count(k), n: count(n) }))
  const go = k > 0 && button(fill('goOnWith', { k: count(k) }), () => controller.goOn(), 'main')
  return h('span', { class: 'buttons' }, text, go)
}

function strangers({ wrongCodes, unproven }: Pairing): HTMLElement | false {
  if (wrongCodes === 0 && unproven === 0) return false
  const tried =
    wrongCodes === 0 ? '' : wrongCodes === 1 ? WORDS.oneWrongCode : fill('wrongCodes', { n: count(wrongCodes) })
  return h(
    'p',
    { class: 'warning', role: 'status' },
    [tried, unproven > 0 ? WORDS.unproven : ''].filter(Boolean).join(' '),
  )
}

function copyButton(text: string, value: string): HTMLButtonElement | false {
  if (!navigator.clipboard) return false
  const made = button(text, async () => {
    await navigator.clipboard.writeText(value)
    made.textContent = WORDS.copied
    setTimeout(() => {
      made.textContent = text
    }, 2_000)
  })
  return made
}

/** "482 913" */
export function spaced(number: string): string {
  return `${number.slice(0, 3)}\u2009${number.slice(3)}`
}

function readOut(text: string): string {
  const words = [...text.replace('-', '')].map((symbol) => {
    const word = READ_OUT[symbol.charCodeAt(0) - 65]
    return word === undefined ? symbol : `${symbol} ${word}`
  })
  return words.join(' · ')
}
