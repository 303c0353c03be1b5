import { button, buttons, h, heading, symbols, theirs } from '../dom.ts'
import type { Pairing, Peer } from '../flow/state.ts'
import { clock, count, shownName } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { copyButton } from './copy-button.ts'
import type { Context, Rendered } from './parts.ts'
import { question } from './question.ts'
import { goOn, shownCode } from './shown-code.ts'
import { strangers } from './strangers.ts'

/** Words by which a letter is read out (ICAO). */
const READ_OUT =
  'Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey Xray Yankee Zulu'.split(
    ' ',
  )

/** The code, or the question who is let in. */
export function pairing(context: Context): Rendered {
  const { pairing: now } = context.state
  if (!now) return { title: '', body: [] }
  return now.questions.length > 0 ? question(context, now) : code(context, now)
}

function code(context: Context, now: Pairing): Rendered {
  const { controller } = context
  return {
    title: WORDS.showCode,
    body: [
      heading(WORDS.showCode),
      h(
        'div',
        { class: 'ticket code-screen' },
        h('div', { class: 'stub' }, ...shownCode(now), isShared() && copies(now)),
        h(
          'div',
          { class: 'part' },
          status(now),
          h('details', {}, h('summary', {}, WORDS.readOut), h('p', { class: 'read-out' }, readOut(now.code))),
          strangers(now),
          now.wanted > 1 && roster(context, now),
          buttons(
            goOn(context, now, 'main'),
            button(WORDS.cancel, () => void controller.leave()),
          ),
        ),
      ),
    ],
  }
}

function status(now: Pairing): HTMLElement {
  const left = h('span', { 'data-until': String(now.goodUntil) }, clock(now.goodUntil - performance.now()))
  const [before = '', after = ''] = (now.isFollowed ? WORDS.goodForNext : WORDS.goodFor).split('{time}')
  return h(
    'div',
    { class: 'status' },
    now.isUsedUp ? h('p', { class: 'warning' }, WORDS.usedUp) : h('p', { class: 'waiting' }, WORDS.waiting),
    now.isRenewed && h('p', { class: 'warning' }, WORDS.newCode),
    h('p', { class: 'quiet' }, before, left, `${after} ${WORDS.keepOpen}`),
  )
}

/** Reports whether a code can be handed on from here: browsers allow it to pages that came by https. */
function isShared(): boolean {
  return 'clipboard' in navigator || 'share' in navigator
}

function copies({ code: text, link }: Pairing): HTMLElement {
  return buttons(
    copyButton(WORDS.copyCode, text),
    copyButton(WORDS.copyLink, link),
    'share' in navigator && button(WORDS.shareLink, () => void navigator.share({ url: link }).catch(() => {})),
  )
}

/** Those who are in, where several may come. */
function roster({ state }: Context, { admitted, wanted }: Pairing): HTMLElement {
  const row = ({ number, name, hasLeft }: Peer) =>
    h(
      'li',
      { class: hasLeft ? 'gone' : '' },
      symbols(number, 'digits'),
      h('span', { class: 'name' }, theirs(shownName(name) ?? '')),
      h('span', { class: 'quiet' }, hasLeft ? WORDS.hasLeft : WORDS.isIn),
    )
  return h(
    'div',
    { class: 'roster' },
    h('p', { class: 'strong' }, fill('letInSoFar', { k: count(admitted), n: count(wanted) })),
    h('ul', { class: 'rows' }, ...state.peers.map(row)),
  )
}

function readOut(text: string): string {
  const words = [...text.replace('-', '')].map((symbol) => {
    const word = READ_OUT[symbol.charCodeAt(0) - 65]
    return word === undefined ? symbol : `${symbol} ${word}`
  })
  return words.join(' · ')
}
