import { keepAwake } from './awake.ts'
import { decodedHash, isCode } from './code-text.ts'
import { deviceName } from './device-name.ts'
import { Controller } from './flow/controller.ts'
import { isFree, isUnderWay } from './flow/next.ts'
import type { State } from './flow/state.ts'
import { showBanner } from './late.ts'
import { footer, readPageWords } from './page-words.ts'
import { relayOfPage } from './relay.ts'
import { takeDropsAndPastes } from './screens/sources.ts'
import { View } from './view.ts'
import { WORDS } from './words.ts'
import './style/index.css'

/** How often it is looked whether the screen has to stay on, in milliseconds. */
const LOOK_MS = 5_000

// Before anything else: a code in the address must not stay in the history, or in what is shared.
const fragment = takeFragment()
const view = new View(relayOfPage)
const controller = new Controller(relayOfPage, deviceName(), (state) => {
  keepAwake(state)
  view.show(state, controller)
})

takeDropsAndPastes(controller)
addEventListener('hashchange', () => openLink(takeFragment()))
addEventListener('beforeunload', (event) => {
  if (isBusy(controller.state) || controller.incoming?.isUnsaved) event.preventDefault()
})
document.body.append(footer(() => controller.tell({ is: 'ask', open: true })))
warnOfInsecurity()
view.show(controller.state, controller)
openLink(fragment)
setInterval(() => keepAwake(controller.state), LOOK_MS)
void controller.listEarlier()
void readPageWords().then((version) => {
  view.version = version
})

function takeFragment(): string {
  const { hash } = location
  if (hash !== '') history.replaceState(null, '', location.pathname + location.search)
  return decodedHash(hash)
}

/** A link with a code fills the field. Nothing is joined without the click, and a fragment that is no code means nothing. */
function openLink(code: string): void {
  if (isFree(controller.state) && isCode(code)) controller.tell({ is: 'link', code, from: 'link' })
}

/** Reports whether leaving the page would end something. */
function isBusy({ screen, transfers, left }: State): boolean {
  if (screen.is !== 'connected') return ['opening', 'pairing', 'looking', 'number'].includes(screen.is)
  return left === undefined && transfers.some(isUnderWay)
}

function warnOfInsecurity(): void {
  if (!isSecureContext) showBanner(WORDS.notSecure)
}
