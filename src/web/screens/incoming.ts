import { button, type Child, h } from '../dom.ts'
import type { Transfer } from '../flow/state.ts'
import { size } from '../format.ts'
import { fill, WORDS } from '../words.ts'
import type { Context } from './parts.ts'
import { bar, failed, progress } from './rows.ts'

/** What there is to do with an offer, and what came of it. */
export function incoming(
  { controller, confirm }: Context,
  { id, stage, bytes, isText }: Transfer & { way: 'in' },
): Child[] {
  const decline = button(WORDS.noThanks, () =>
    controller.incoming.decline(id, stage.is === 'too_large' ? 'no_space' : 'declined'),
  )
  switch (stage.is) {
    case 'asked': {
      const yes = isText ? WORDS.show : fill('save', { size: bytes === undefined ? '' : size(bytes) }).trim()
      return [
        h('p', {}, WORDS.takeThis),
        h(
          'div',
          { class: 'buttons' },
          button(yes, () => void controller.incoming.accept(id), 'main'),
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
        if (await confirm(WORDS.stopReceiving, WORDS.stop, WORDS.goOn)) controller.incoming.stop(id)
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
          button(WORDS.saveAgain, () => controller.incoming.saveAgain(id)),
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
