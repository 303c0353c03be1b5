import { cleanText } from '../client/index.ts'
import { parsePairingCode } from '../crypto/pairing-code.ts'
import { keepAwake } from './awake.ts'
import { deviceName } from './device-name.ts'
import { button, h, morph } from './dom.ts'
import { Controller } from './flow/controller.ts'
import { TEXT_MAX_BYTES } from './flow/incoming.ts'
import type { State } from './flow/state.ts'
import { clock } from './format.ts'
import { connected } from './screens/connected.ts'
import { enter, looking, number, opening, text } from './screens/joining.ts'
import { end, sure } from './screens/other.ts'
import { pairing } from './screens/pairing.ts'
import type { Context, Rendered } from './screens/parts.ts'
import { scanning } from './screens/scan.ts'
import { takeDropsAndPastes } from './screens/sources.ts'
import { chosen, start } from './screens/start.ts'
import { fill, WORDS } from './words.ts'
import './style.css'

// Before anything else: a code in the address must not stay in the history, or in what is shared.
const fragment = takeFragment()
const relay = new URL('.', document.baseURI).href.replace(/\/$/, '')
const view = document.querySelector('#view') as HTMLElement
const polite = document.querySelector('#polite') as HTMLElement
const assertive = document.querySelector('#assertive') as HTMLElement
const banner = document.querySelector('#banner') as HTMLElement
let version = ''
let shown = ''

const controller = new Controller(relay, deviceName(), render)
const context = (state: State): Context => ({ state, controller, relay, confirm })

takeDropsAndPastes(controller, () => ['start', 'chosen', 'connected'].includes(controller.state.screen.is))
addEventListener('hashchange', () => openLink(takeFragment()))
addEventListener('beforeunload', (event) => {
  if (isBusy(controller.state) || controller.incoming.isUnsaved) event.preventDefault()
})
setInterval(() => {
  tickClocks()
  keepAwake(controller.state)
}, 1_000)
document.body.append(footer())
banner.hidden = isSecureContext
if (!isSecureContext) banner.textContent = WORDS.notSecure
render(controller.state)
openLink(fragment)
void readPageJson()
void controller.incoming.listEarlier()

function takeFragment(): string {
  const found = decodeURIComponent(location.hash.slice(1))
  if (location.hash !== '') history.replaceState(null, '', location.pathname + location.search)
  return found
}

/** A link with a code fills the field. Nothing is joined without the click. */
function openLink(code: string): void {
  if (isBusy(controller.state) || code === '') return
  try {
    parsePairingCode(code)
    controller.tell({ is: 'link', code, from: 'link' })
  } catch {
    // A fragment that is no code means nothing.
  }
}

function isBusy({ screen, transfers }: State): boolean {
  const isPaired =
    screen.is === 'connected' && transfers.some(({ stage }) => ['offered', 'running', 'saving'].includes(stage.is))
  return isPaired || ['opening', 'pairing', 'looking', 'number'].includes(screen.is)
}

function render(state: State): void {
  keepAwake(state)
  const { title, body, announce } = rendered(state)
  const key = state.isAsking ? 'sure' : keyOf(state)
  const isNew = key !== shown
  shown = key
  document.title = `${title} – Pairlay`
  const nodes = [connectionLine(state), ...body].filter((node) => node !== undefined && node !== false)
  if (isNew) view.replaceChildren(...nodes)
  else morph(view, nodes)
  if (!isNew) return
  view.querySelector<HTMLElement>('h1')?.focus()
  const isUrgent = state.screen.is === 'end' || (state.pairing?.questions.length ?? 0) > 0
  ;(isUrgent ? assertive : polite).textContent = announce ?? ''
}

/** Names the screen: another one takes the focus. */
function keyOf({ screen, pairing: now }: State): string {
  if (screen.is !== 'pairing') return screen.is
  return (now?.questions.length ?? 0) > 0 ? `question ${now?.typing}` : 'code'
}

function rendered(state: State): Rendered {
  const all = context(state)
  if (state.isAsking) return sure(all, version)
  switch (state.screen.is) {
    case 'start':
      return start(all)
    case 'chosen':
      return chosen(all)
    case 'text':
      return text(all, TEXT_MAX_BYTES)
    case 'opening':
      return opening(all)
    case 'pairing':
      return pairing(all)
    case 'enter':
      return enter(all)
    case 'scan':
      return scanning(all)
    case 'looking':
      return looking(all)
    case 'number':
      return number(all)
    case 'connected':
      return connected(all)
    case 'end':
      return end(all)
    default:
      return state.screen satisfies never
  }
}

function connectionLine({ connection, screen }: State): HTMLElement | false {
  if (connection === 'connected' || ['start', 'chosen', 'text', 'enter', 'end'].includes(screen.is)) return false
  return h('p', { class: 'warning', role: 'status' }, connection === 'fallback' ? WORDS.fallback : WORDS.lost)
}

function tickClocks(): void {
  for (const element of document.querySelectorAll<HTMLElement>('[data-until]'))
    element.textContent = clock(Number(element.dataset.until) - performance.now())
}

/** Asks in a dialog whose focus is on the harmless button. */
function confirm(question: string, yes: string, no: string): Promise<boolean> {
  return new Promise((resolve) => {
    const close = (answer: boolean) => {
      dialog.remove()
      resolve(answer)
    }
    const harmless = button(no, () => close(false))
    harmless.autofocus = true
    const buttons = h(
      'div',
      { class: 'buttons' },
      harmless,
      button(yes, () => close(true), 'main'),
    )
    const dialog = h('dialog', { 'aria-label': question }, h('p', {}, question), buttons)
    dialog.addEventListener('cancel', () => close(false))
    document.body.append(dialog)
    dialog.showModal()
  })
}

function footer(): HTMLElement {
  const ask = button(WORDS.howToBeSure, () => controller.tell({ is: 'ask', open: true }), 'link')
  return h('footer', {}, h('p', {}, `${fill('footer', { host: location.host })} `, ask), h('p', { id: 'links' }))
}

/** Name, notice and links of whoever runs the relay. It may fail without consequence. */
async function readPageJson(): Promise<void> {
  try {
    const page = await (await fetch('page.json', { credentials: 'omit' })).json()
    version = cleanText(String(page.version ?? ''), 40)
    const name = cleanText(String(page.name ?? ''), 40)
    const brand = document.querySelector('#brand') as HTMLElement
    if (name !== '') brand.textContent = name
    const notice = cleanText(String(page.notice ?? ''), 200)
    if (notice !== '') brand.after(h('p', { class: 'notice' }, notice))
    const links = Array.isArray(page.links) ? page.links.slice(0, 5) : []
    const made = links
      .filter(({ url }: { url: unknown }) => /^https?:\/\//.test(String(url)))
      .map(({ text: label, url }: { text: unknown; url: unknown }) =>
        h('a', { href: String(url), rel: 'noreferrer' }, cleanText(String(label), 40)),
      )
    document.querySelector('#links')?.append(...made)
  } catch {
    // A relay without words of its own.
  }
}
