/// <reference types="vite/client" />
import { Controller } from '../../../src/web/flow/controller.ts'
import { START } from '../../../src/web/flow/state.ts'
import { footer } from '../../../src/web/page-words.ts'
import { View } from '../../../src/web/view.ts'
import { STATES } from './states.ts'
import '../../../src/web/style/index.css'

declare global {
  /** Shows one of the states. */
  var showState: (name: string) => void
}

// The page with its own words and style, and states that nobody had to bring about.
const view = new View(() => 'https://relay.example')
const controller = new Controller(
  () => 'https://relay.example',
  'Chrome on Linux',
  () => {},
)
view.version = '1.2.3'
document.body.append(footer(() => {}))
globalThis.showState = (name) => {
  const state = STATES[name]
  if (!state) throw new Error(`there is no state ${name}`)
  const { pairing } = state
  const shown = pairing && { ...pairing, goodUntil: performance.now() + pairing.goodUntil }
  document.querySelector('dialog')?.remove()
  controller.accessToken = name.endsWith('again') ? 'a wrong one' : undefined
  // Another screen first: each is shown as one that somebody comes to.
  view.show(START, controller)
  view.show({ ...state, pairing: shown }, controller)
  if (name.endsWith('stop')) document.querySelector<HTMLElement>('.transfer button')?.click()
}
showState('start')
