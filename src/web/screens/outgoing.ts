import { button, buttons, type Child, h, symbols, theirs } from '../dom.ts'
import { ENDS } from '../ends.ts'
import { isUnderWay } from '../flow/next.ts'
import type { OutgoingStage, Transfer } from '../flow/state.ts'
import { clock, count, percent, shownName, size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import type { Context } from './parts.ts'
import { bar, comparing, comparingWords, failed, progress } from './rows.ts'

type Outgoing = Transfer & { way: 'out' }

/** Shows what has become of something that was offered to one device. */
export function outgoing(context: Context, { id, stage, bytes }: Outgoing): Child[] {
  const stop = buttons(button(WORDS.stop, () => void stopped(context, [id])))
  switch (stage.is) {
    case 'offered':
      return [h('p', { class: 'waiting' }, WORDS.offered), stop]
    case 'comparing':
      return [...comparing(stage), stop]
    case 'stopping':
      return [h('p', { class: 'waiting' }, WORDS.stopping)]
    case 'running':
      if (bytes !== undefined && stage.done >= bytes) return [bar(stage.done, bytes), h('p', {}, WORDS.checking)]
      return [
        bar(stage.done, bytes),
        h('p', { class: 'quiet' }, progress(stage, bytes)),
        tooSlow(context, stage, bytes),
        stop,
      ]
    case 'delivered':
      return [delivered(stage)]
    case 'failed':
      return failed(stage.code)
    default:
      return stage satisfies never
  }
}

function delivered({ bytes, ms, skipped }: OutgoingStage & { is: 'delivered' }): HTMLElement {
  const parts = { size: size(bytes), time: clock(ms) }
  return skipped === 0
    ? h('p', { class: 'good' }, fill('delivered', parts))
    : h('p', { class: 'warning' }, fill('deliveredWithout', { ...parts, n: count(skipped) }))
}

/** The same for several devices, with a line for each. */
export function outgoingToMany(context: Context, all: readonly Outgoing[]): Child[] {
  const underWay = all.filter((each) => isUnderWay(each) && each.stage.is !== 'stopping')
  const delivered = all.filter(({ stage }) => stage.is === 'delivered').length
  return [
    h('ul', { class: 'rows' }, ...all.map((each) => line(context, each))),
    underWay.length > 0
      ? buttons(
          button(
            WORDS.stopAll,
            () =>
              void stopped(
                context,
                underWay.map(({ id }) => id),
              ),
          ),
        )
      : h(
          'p',
          { class: delivered === all.length ? 'good' : 'problem' },
          fill('deliveredTo', { n: count(delivered), all: count(all.length) }),
        ),
  ]
}

function line({ state }: Context, { id, peer, stage, bytes }: Outgoing): HTMLElement {
  const { number = '', name } = state.peers.find((each) => each.id === peer) ?? {}
  const words = () => {
    switch (stage.is) {
      case 'offered':
        return WORDS.offeredShort
      case 'comparing':
        return comparingWords(stage)
      case 'stopping':
        return WORDS.stoppingShort
      case 'running':
        return percent(stage.done, bytes ?? stage.done)
      case 'delivered':
        return fill('deliveredShort', { size: size(stage.bytes), time: clock(stage.ms) })
      case 'failed':
        return ENDS[stage.code].title
      default:
        return stage satisfies never
    }
  }
  return h(
    'li',
    { class: stage.is, 'data-key': String(id) },
    symbols(number, 'digits'),
    h('span', { class: 'name' }, theirs(shownName(name) ?? WORDS.otherDevice)),
    stage.is === 'running' && bar(stage.done, bytes),
    h('span', { class: stage.is === 'delivered' ? 'good' : stage.is === 'failed' ? 'problem' : 'quiet' }, words()),
  )
}

async function stopped({ controller, confirm }: Context, ids: readonly number[]): Promise<void> {
  if (!(await confirm(WORDS.stopSure, WORDS.stop, WORDS.goOn))) return
  for (const id of ids) controller.stop(id)
}

/** Says in time that the session will be over before everything is there. */
function tooSlow(
  { state }: Context,
  { done, perSecond }: { readonly done: number; readonly perSecond: number | undefined },
  bytes: number | undefined,
): HTMLElement | false {
  if (bytes === undefined || perSecond === undefined || perSecond < 1 || state.sessionUntil === undefined) return false
  const needed = ((bytes - done) / perSecond) * 1_000
  const left = state.sessionUntil - Date.now()
  if (needed <= left) return false
  return h('p', { class: 'warning' }, fill('tooSlow', { left: clock(needed), time: clock(left) }))
}
