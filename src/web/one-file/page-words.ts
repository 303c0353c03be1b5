import { button, h } from '../dom.ts'
import { WORDS } from '../words.ts'

const FOOTER = 'Only the two devices can read what you send, if this file is the one that the project published.'
const SURE =
  'Only the two devices. The relay moves bytes that it cannot read, as long as this file is the one that the project published. ' +
  'Compare its SHA-256 with that of the file that you build, or that somebody whom you trust has built.'

/** The field for the relay above the screen, and the line below it. */
export function footer(ask: () => void): HTMLElement {
  Object.assign(WORDS, { sure: SURE })
  // Whoever hands the file on may write a relay into it.
  const value = document.querySelector<HTMLMetaElement>('meta[name=relay]')?.content ?? ''
  const field = h('input', {
    id: 'relay',
    type: 'url',
    value,
    placeholder: 'https://relay.example',
    autocomplete: 'off',
  })
  const place = h('p', { class: 'field' }, h('label', { htmlFor: 'relay' }, 'Relay'), field)
  document.querySelector('header')?.append(place)
  return h('footer', {}, h('p', {}, `${FOOTER} `, button(WORDS.howToBeSure, ask, 'link')))
}

/** Nobody has words of their own in a file. */
export async function readPageWords(): Promise<string> {
  return ''
}
