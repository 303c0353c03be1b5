import { button, type Child, h, theirs } from '../dom.ts'
import { ENDS } from '../ends.ts'
import type { Peer, Transfer } from '../flow/state.ts'
import { clock, count, percent, size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { spaced } from './pairing.ts'
import type { Context, Rendered } from './parts.ts'
import { chooser } from './sources.ts'

/** Both devices are paired: either side sends, until one leaves. */
export function connected(context: Context): Rendered {
  const { state, controller, confirm } = context
  const here = state.peers.filter(({ hasLeft }) => !hasLeft)
  const [only] = state.peers
  const title =
    state.peers.length > 1
      ? fill('connectedToMany', { n: count(here.length) })
      : only?.name
        ? fill('connectedTo', { name: only.name })
        : WORDS.connected
  const hasLeft = here.length === 0
  const running = state.transfers.filter(({ stage }) => stage.is === 'running')
  const leave = async () => {
    if (running.length === 0 || (await confirm(WORDS.stopSure, WORDS.stop, WORDS.goOn))) await controller.leave()
  }
  return {
    title: progressTitle(state.transfers) ?? title,
    body: [
      h('h1', { tabIndex: -1 }, hasLeft ? WORDS.left : title),
      hasLeft
        ? h('p', {}, WORDS.leftMore)
        : only && h('p', { class: 'quiet' }, fill('connectedMore', { number: spaced(only.number) })),
      ...state.peers.map((peer) => away(peer)),
      h(
        'ul',
        { class: 'transfers', 'aria-label': WORDS.transfers },
        ...state.transfers.map((each) => row(context, each)),
      ),
      state.transfers.length === 0 && h('p', { class: 'waiting' }, WORDS.nothingYet),
      !hasLeft && chooser(context, WORDS.dropHere),
      h(
        'div',
        { class: 'buttons' },
        button(hasLeft ? WORDS.toStart : WORDS.leave, () => void leave()),
      ),
    ],
  }
}

function away({ isAway, hasLeft }: Peer): HTMLElement | undefined {
  if (!isAway || hasLeft) return undefined
  return h('p', { class: 'warning', role: 'status' }, WORDS.otherAway.replace(/ Waiting.*/, ''))
}

function progressTitle(transfers: readonly Transfer[]): string | undefined {
  const running = transfers.find(({ stage }) => stage.is === 'running')
  if (running?.stage.is !== 'running' || running.bytes === undefined) return undefined
  return percent(running.stage.done, running.bytes)
}

function row(context: Context, transfer: Transfer): HTMLElement {
  const { names, count: files, bytes, isText, way } = transfer
  const what: Child[] = isText
    ? [WORDS.aText]
    : [theirs(names.join(', ')), files > names.length && ` + ${count(files - names.length)}`]
  return h(
    'li',
    { class: `transfer ${way} ${transfer.stage.is}`, 'data-transfer': String(transfer.id) },
    h(
      'p',
      { class: 'name' },
      h('span', { class: 'way', 'aria-label': way === 'out' ? WORDS.send : WORDS.receive, role: 'img' }),
      ...what,
    ),
    bytes !== undefined && h('span', { class: 'quiet' }, size(bytes)),
    ...(transfer.way === 'out' ? outgoing(context, transfer) : incoming(context, transfer)),
  )
}

function outgoing({ controller, confirm }: Context, { id, stage, bytes }: Transfer & { way: 'out' }): Child[] {
  const stop = button(WORDS.stop, async () => {
    if (await confirm(WORDS.stopSure, WORDS.stop, WORDS.goOn)) controller.stop(id)
  })
  switch (stage.is) {
    case 'offered':
      return [h('p', { class: 'waiting' }, WORDS.offered), h('div', { class: 'buttons' }, stop)]
    case 'running':
      if (bytes !== undefined && stage.done >= bytes) return [bar(stage.done, bytes), h('p', {}, WORDS.checking)]
      return [
        bar(stage.done, bytes),
        h('p', { class: 'quiet' }, progress(stage, bytes)),
        h('div', { class: 'buttons' }, stop),
      ]
    case 'delivered':
      return [h('p', { class: 'good' }, fill('delivered', { size: size(stage.bytes), time: clock(stage.ms) }))]
    case 'failed':
      return failed(stage.code)
    default:
      return stage satisfies never
  }
}

function incoming({ controller, confirm }: Context, { id, stage, bytes, isText }: Transfer & { way: 'in' }): Child[] {
  const decline = button(WORDS.noThanks, () => controller.decline(id))
  switch (stage.is) {
    case 'asked': {
      const yes = isText ? WORDS.show : fill('save', { size: bytes === undefined ? '' : size(bytes) }).trim()
      return [
        h('p', {}, WORDS.takeThis),
        h(
          'div',
          { class: 'buttons' },
          button(yes, () => void controller.accept(id), 'main'),
          decline,
        ),
      ]
    }
    case 'too_large': {
      const words = fill('tooLarge', { max: size(stage.max), size: bytes === undefined ? '' : size(bytes) })
      return [h('p', { class: 'warning' }, words), h('div', { class: 'buttons' }, decline)]
    }
    case 'running': {
      const stop = button(WORDS.stop, async () => {
        if (await confirm(WORDS.stopReceiving, WORDS.stop, WORDS.goOn)) controller.stop(id)
      })
      return [
        bar(stage.done, bytes),
        h('p', { class: 'quiet' }, progress(stage, bytes)),
        h('div', { class: 'buttons' }, stop),
      ]
    }
    case 'saving':
      return [bar(1, 1), h('p', {}, WORDS.saving)]
    case 'received':
      return [
        h('p', { class: 'good' }, WORDS.received),
        h(
          'div',
          { class: 'buttons' },
          button(WORDS.saveAgain, () => controller.saveAgain(id)),
        ),
      ]
    case 'text':
      return textRow(stage.text)
    case 'declined':
      return [h('p', { class: 'quiet' }, WORDS.declinedHere)]
    case 'withdrawn':
      return [h('p', { class: 'quiet' }, WORDS.withdrawn)]
    case 'failed':
      return failed(stage.code)
    default:
      return stage satisfies never
  }
}

function textRow(text: string): Child[] {
  const link = linkIn(text)
  const copy = button(WORDS.copy, async () => {
    await navigator.clipboard.writeText(text)
    copy.textContent = WORDS.copied
  })
  const open =
    link &&
    h('a', { href: link, rel: 'noopener noreferrer', target: '_blank' }, fill('openHost', { host: new URL(link).host }))
  return [
    h('pre', { dir: 'auto', tabIndex: 0 }, text),
    h('p', { class: 'good' }, WORDS.receivedText),
    h('div', { class: 'buttons' }, 'clipboard' in navigator && copy, open),
  ]
}

/** The address that a text is, if all of it is one. */
function linkIn(text: string): string | undefined {
  const trimmed = text.trim()
  return /^https?:\/\/[^\s]+$/.test(trimmed) && URL.canParse(trimmed) ? trimmed : undefined
}

function failed(code: keyof typeof ENDS): Child[] {
  const { title, more } = ENDS[code]
  return [h('p', { class: 'problem' }, more === '' ? `${title}.` : `${title}. ${more}`)]
}

function bar(done: number, all: number | undefined): HTMLElement {
  // Without a value the bar says that nobody knows how long.
  return all === undefined ? h('progress', {}) : h('progress', { max: Math.max(all, 1), value: all === 0 ? 1 : done })
}

function progress(
  { done, perSecond }: { done: number; perSecond: number | undefined },
  all: number | undefined,
): string {
  const parts = { done: size(done), total: all === undefined ? '…' : size(all) }
  if (perSecond === undefined || perSecond < 1 || all === undefined) return fill('sendingBegun', parts)
  const left = clock(((all - done) / perSecond) * 1000)
  return fill('sendingNow', { ...parts, rate: size(perSecond), left })
}
