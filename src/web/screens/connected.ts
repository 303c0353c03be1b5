import { awayWords } from '../announce.ts'
import { button, buttons, type Child, h, heading, symbols, theirs } from '../dom.ts'
import { ENDS } from '../ends.ts'
import { isUnderWay } from '../flow/next.ts'
import type { Peer, State, Transfer } from '../flow/state.ts'
import { count, percent, shownName, size, spaced } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { incoming } from './incoming.ts'
import { outgoing, outgoingToMany } from './outgoing.ts'
import type { Context, Rendered } from './parts.ts'
import { chooser } from './sources.ts'
import { textField } from './text.ts'

/** Both devices are paired: either side sends, until one leaves. The list of what was sent and received stays. */
export function connected(context: Context): Rendered {
  const { state } = context
  const isOver = state.left !== undefined || state.peers.every(({ hasLeft }) => hasLeft)
  const title = titleOf(state, isOver)
  const begins = state.transfers.length === 0 && !isOver
  return {
    title: progressOf(state.transfers) ?? (isAsked(state) ? `● ${title}` : title),
    body: [
      heading(title),
      h('p', { class: 'lead' }, ...(isOver ? [overWords(state)] : pairedWords(state))),
      peers(state),
      state.peers.some(({ isAway, hasLeft }) => isAway && !hasLeft) &&
        h('p', { class: 'warning', 'data-key': 'away' }, awayWords(state.sessionUntil)),
      begins && h('p', { class: 'waiting', 'data-key': 'nothing' }, WORDS.nothingYet),
      !begins && transfers(context),
      !isOver && sending(context, begins),
      buttons(leaving(context, isOver)),
    ],
  }
}

function titleOf({ left, peers: all }: State, isOver: boolean): string {
  if (left !== undefined) return ENDS[left].title
  if (isOver) return WORDS.left
  const here = all.filter(({ hasLeft }) => !hasLeft).length
  return all.length > 1 ? fill('connectedToMany', { n: count(here) }) : WORDS.connected
}

function pairedWords({ peers: [first, ...others] }: State): Child[] {
  if (others.length > 0 || !first) return [WORDS.connectedToManyMore]
  const [before = '', after = ''] = WORDS.connectedMore.split('{number}')
  return [before, symbols(first.number, 'digits'), after]
}

function overWords({ left }: State): string {
  return left === undefined ? WORDS.leftMore : ENDS[left].more
}

function isAsked({ transfers: all }: State): boolean {
  return all.some(({ way, stage }) => way === 'in' && stage.is === 'asked')
}

/** The other devices: what each calls itself, and among several its number. */
function peers({ peers: all }: State): HTMLElement | false {
  if (all.every(({ name }) => all.length === 1 && shownName(name) === undefined)) return false
  const row = ({ id, number, name, hasLeft, isAway }: Peer) =>
    h(
      'li',
      { class: hasLeft ? 'gone' : isAway ? 'away' : '', 'data-key': String(id) },
      all.length > 1 && symbols(number, 'digits'),
      h('span', { class: 'name' }, theirs(shownName(name) ?? WORDS.otherDevice)),
      hasLeft && all.length > 1 && h('span', { class: 'quiet' }, WORDS.hasLeft),
    )
  return h('ul', { class: 'peers', 'aria-label': WORDS.otherDevices }, ...all.map(row))
}

/** The newest is first: what asks for an answer is in sight. */
function transfers(context: Context): HTMLElement {
  const batches = batchesOf(context.state.transfers)
  return h(
    'ul',
    { class: 'transfers', 'aria-label': WORDS.transfers, 'data-key': 'transfers' },
    ...batches.toReversed().map((batch) => row(context, batch)),
  )
}

/** Transfers of the same things to several devices together. */
function batchesOf(all: readonly Transfer[]): [Transfer, ...Transfer[]][] {
  const batches: [Transfer, ...Transfer[]][] = []
  for (const transfer of all) {
    const known = batches.find(([{ batch }]) => batch !== undefined && batch === transfer.batch)
    if (known) known.push(transfer)
    else batches.push([transfer])
  }
  return batches
}

function row(context: Context, batch: [Transfer, ...Transfer[]]): HTMLElement {
  const [first] = batch
  const { id, names, count: files, bytes, isText, way, stage } = first
  const what: Child[] = isText
    ? [WORDS.aText]
    : [theirs(names.join(', ')), files > names.length && ` + ${count(files - names.length)}`]
  const ways = batch.filter((each) => each.way === 'out')
  const about =
    ways.length > 1
      ? outgoingToMany(context, ways)
      : first.way === 'out'
        ? outgoing(context, first)
        : incoming(context, first)
  return h(
    'li',
    { class: `transfer ${way} ${ways.length > 1 ? 'many' : stage.is}`, 'data-transfer': String(id), tabIndex: -1 },
    h('span', { class: 'way', 'aria-hidden': 'true' }),
    h(
      'div',
      { class: 'about' },
      h(
        'p',
        { class: 'name' },
        h('span', { class: 'unseen' }, `${way === 'out' ? WORDS.send : WORDS.receive}: `),
        ...what,
      ),
      h(
        'p',
        { class: 'quiet' },
        [
          way === 'in' && context.state.peers.length > 1 ? from(context.state, first) : '',
          bytes === undefined ? '' : size(bytes),
        ]
          .filter(Boolean)
          .join(' · '),
      ),
      ...about,
    ),
  )
}

function from({ peers: all }: State, { peer }: Transfer): string {
  return spaced(all.find(({ id }) => id === peer)?.number ?? '')
}

function sending(context: Context, begins: boolean): HTMLElement {
  const { state } = context
  if (state.isWriting) return h('div', { class: 'card', 'data-key': 'writing' }, textField(context, WORDS.send))
  return begins
    ? h('div', { class: 'card', 'data-key': 'begin' }, chooser(context, 'large', WORDS.dropHere))
    : h('div', { class: 'more', 'data-key': 'more' }, chooser(context, 'small', WORDS.sendMore))
}

function leaving({ state, controller, confirm }: Context, isOver: boolean): HTMLElement {
  if (isOver) return button(WORDS.toStart, () => void controller.leave(), 'main')
  const isBusy = state.transfers.some(isUnderWay)
  return button(WORDS.leave, async () => {
    if (!isBusy || (await confirm(WORDS.leaveSure, WORDS.leave, WORDS.goOn))) await controller.leave()
  })
}

function progressOf(all: readonly Transfer[]): string | undefined {
  const running = all.find(({ stage }) => stage.is === 'running')
  if (running?.stage.is !== 'running' || running.bytes === undefined) return undefined
  return percent(running.stage.done, running.bytes)
}
