import { wrongCodes as tried } from '../announce.ts'
import { h } from '../dom.ts'
import type { Pairing } from '../flow/state.ts'
import { WORDS } from '../words.ts'

/** Devices that tried the code and failed, or that have proved nothing yet. */
export function strangers({ wrongCodes, unproven }: Pairing): HTMLElement | false {
  if (wrongCodes === 0 && unproven === 0) return false
  const words = [wrongCodes > 0 && tried(wrongCodes), unproven > 0 && WORDS.unproven]
  return h('p', { class: 'warning', 'data-key': 'strangers' }, words.filter(Boolean).join(' '))
}
