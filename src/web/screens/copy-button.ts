import { h } from '../dom.ts'
import { WORDS } from '../words.ts'

/** How long a button says that it has done it, in milliseconds. */
const COPIED_MS = 2_000

/** A button that copies a text. Browsers have no clipboard for a page without https, and then there is none. */
export function copyButton(label: string, value: string): HTMLButtonElement | false {
  if (!('clipboard' in navigator)) return false
  const made = h('button', {
    type: 'button',
    class: 'plain',
    'data-keep': `${label} ${value}`,
    onclick: async () => {
      await navigator.clipboard.writeText(value)
      made.textContent = WORDS.copied
      setTimeout(() => {
        made.textContent = label
      }, COPIED_MS)
    },
  })
  made.textContent = label
  return made
}
