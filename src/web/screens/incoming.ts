import { button, buttons, type Child, h, theirs } from '../dom.ts'
import { MEMORY_SMALL_BYTES } from '../flow/plan.ts'
import type { IncomingStage, Transfer } from '../flow/state.ts'
import { count, size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import { copyButton } from './copy-button.ts'
import type { Context } from './parts.ts'
import { bar, comparing, failed, progress } from './rows.ts'

/** Shows what there is to do with an offer, and what came of it. */
export function incoming(context: Context, transfer: Transfer & { way: 'in' }): Child[] {
  const { controller, confirm } = context
  const { id, stage, bytes } = transfer
  switch (stage.is) {
    case 'asked':
      return asked(context, transfer, stage.plan)
    case 'too_large':
      return [
        h('p', { class: 'warning' }, tooLarge(stage.max, bytes)),
        buttons(button(WORDS.noThanks, () => controller.incoming?.decline(id, 'no_space'))),
      ]
    case 'comparing':
    case 'running': {
      const stop = button(WORDS.stop, async () => {
        if (await confirm(WORDS.stopReceiving, WORDS.stop, WORDS.goOn)) controller.incoming?.stop(id)
      })
      if (stage.is === 'comparing') return [...comparing(stage), buttons(stop)]
      return [bar(stage.done, bytes), h('p', { class: 'quiet' }, progress(stage, bytes)), buttons(stop)]
    }
    case 'saving':
      return [bar(1, 1), h('p', {}, WORDS.saving)]
    case 'received':
      return received(context, id, stage)
    case 'saved': {
      const [before, after] = WORDS.savedAs.split('{name}')
      return [h('p', { class: 'good' }, before, theirs(stage.name), after), leftOut(stage.skipped)]
    }
    case 'done':
      return [h('p', { class: 'good' }, WORDS.complete)]
    case 'text':
      return textRow(stage.text)
    case 'declined':
      return [h('p', { class: 'quiet' }, WORDS.declinedHere)]
    case 'withdrawn':
      return [h('p', { class: 'quiet' }, WORDS.withdrawn)]
    case 'failed':
      return failure(stage, bytes)
    default:
      return stage satisfies never
  }
}

function asked(
  { controller }: Context,
  { id, bytes, isText }: Transfer,
  plan: (IncomingStage & { is: 'asked' })['plan'],
): Child[] {
  const isPipe = bytes === undefined
  const isLarge = isPipe || bytes > MEMORY_SMALL_BYTES
  const lines = { pick: WORDS.planPick, keep: WORDS.planKeep, memory: isLarge && WORDS.planMemory }
  const line = lines[plan]
  const sized = { size: isPipe ? '' : size(bytes) }
  const save = isPipe ? WORDS.saveOfPipe : fill('save', sized)
  const choose = isPipe ? WORDS.choosePlaceOfPipe : fill('choosePlace', sized)
  const yes = isText ? WORDS.show : plan === 'pick' ? choose : save
  return [
    h('p', {}, WORDS.takeThis),
    isPipe && h('p', {}, WORDS.sizeUnknown),
    line && h('p', { class: 'quiet' }, line),
    buttons(
      button(yes, () => void controller.incoming?.accept(id), 'main'),
      button(WORDS.noThanks, () => controller.incoming?.decline(id, 'declined')),
    ),
  ]
}

function received(
  { controller: { incoming: to } }: Context,
  id: number,
  { isCopy, isByHand, skipped }: IncomingStage & { is: 'received' },
): Child[] {
  const done = button(WORDS.done, () => void to?.done(id))
  const save = isByHand
    ? [button(WORDS.share, () => void to?.share(id), 'main'), button(WORDS.toDownloads, () => to?.saveAgain(id))]
    : [button(WORDS.saveAgain, () => to?.saveAgain(id))]
  return [
    h('p', { class: 'good' }, isByHand ? WORDS.complete : WORDS.received),
    leftOut(skipped),
    isCopy && h('p', { class: 'quiet' }, WORDS.copyStays),
    buttons(...save, done),
  ]
}

function leftOut(skipped: number): Child {
  return skipped > 0 && h('p', { class: 'warning' }, fill('leftOut', { n: count(skipped) }))
}

function failure({ code, isKept, max }: IncomingStage & { is: 'failed' }, bytes: number | undefined): Child[] {
  if (max !== undefined) return [h('p', { class: 'problem' }, tooLarge(max, bytes))]
  if (code === 'no_space')
    return [h('p', { class: 'problem' }, WORDS.noRoom), h('p', { class: 'quiet' }, WORDS.nothingKept)]
  return [...failed(code), h('p', { class: 'quiet' }, isKept ? WORDS.stayedHere : WORDS.nothingKept)]
}

function tooLarge(max: number, bytes: number | undefined): string {
  return fill('tooLarge', { max: size(max), size: bytes === undefined ? WORDS.more : size(bytes) })
}

function textRow(text: string): Child[] {
  const link = linkIn(text)
  const open =
    link &&
    h('a', { href: link, rel: 'noopener noreferrer', target: '_blank' }, fill('openHost', { host: new URL(link).host }))
  return [
    h('pre', { dir: 'auto', tabIndex: 0 }, text),
    h('p', { class: 'good' }, WORDS.receivedText),
    buttons(copyButton(WORDS.copy, text), open),
  ]
}

/** The address that a text is, if all of it is one. */
function linkIn(text: string): string | undefined {
  const trimmed = text.trim()
  return /^https?:\/\/[^\s]+$/.test(trimmed) && URL.canParse(trimmed) ? trimmed : undefined
}
