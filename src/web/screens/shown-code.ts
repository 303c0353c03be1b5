import { button, h, symbols, theirs } from '../dom.ts'
import type { Pairing } from '../flow/state.ts'
import { count } from '../format.ts'
import { sides } from '../late.ts'
import { fill, WORDS } from '../words.ts'
import type { Context } from './parts.ts'

/** The code as text, where to enter it, and the link as a picture. */
export function shownCode(now: Pairing): HTMLElement[] {
  const { code: text, link } = now
  const [before = '', after = ''] = WORDS.openThere.split('{address}')
  const address = link.split('/#')[0]?.replace(/^https?:\/\//, '') ?? ''
  return [
    h('p', { class: 'tiles-row' }, symbols(text, 'tiles')),
    h('p', {}, before, h('strong', {}, theirs(address)), after),
    picture(now),
  ]
}

/** The link as a QR code, drawn once its place is on the page. */
function picture({ link }: Pairing): HTMLElement {
  const place = h('div', { class: 'picture', 'data-keep': link })
  void sides().then(
    ({ qrPicture, warmUp }) => {
      if (place.isConnected) place.append(qrPicture(link, WORDS.qrOf))
      void warmUp()
    },
    () => {},
  )
  return place
}

/** Sends to those who are in, without the others. */
export function goOn({ controller, state }: Context, { wanted }: Pairing, kind: 'main' | 'plain'): HTMLElement | false {
  const k = state.peers.filter(({ hasLeft }) => !hasLeft).length
  if (wanted === 1 || k === 0) return false
  return button(k === 1 ? WORDS.goOnWithOne : fill('goOnWith', { k: count(k) }), () => controller.goOn(), kind)
}
