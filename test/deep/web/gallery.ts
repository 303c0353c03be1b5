/// <reference types="vite/client" />
import { Controller } from '../../../src/web/flow/controller.ts'
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
  view.show({ ...state, pairing: shown }, controller)
}
showState('start')
