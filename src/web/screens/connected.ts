import { button, type Child, h, theirs } from '../dom.ts'
import type { OutgoingStage, Peer, Transfer } from '../flow/state.ts'
import { clock, count, percent, size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { incoming } from './incoming.ts'
import { spaced } from './pairing.ts'
import type { Context, Rendered } from './parts.ts'
import { bar, failed, progress } from './rows.ts'
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

function delivered({ bytes, ms, skipped }: OutgoingStage & { is: 'delivered' }): HTMLElement {
  const parts = { size: size(bytes), time: clock(ms), n: count(skipped) }
  return skipped === 0
    ? h('p', { class: 'good' }, fill('delivered', parts))
    : h('p', { class: 'warning' }, fill('deliveredWithout', parts))
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
      return [delivered(stage)]
    case 'failed':
      return failed(stage.code)
    default:
      return stage satisfies never
  }
}
