import { type Child, h } from '../dom.ts'
import { ENDS } from '../ends.ts'
import { clock, percent, size } from '../format.ts'
import { fill } from '../words.ts'

/** Parts of a row that sends or receives. */

export function failed(code: keyof typeof ENDS): Child[] {
  const { title, more } = ENDS[code]
  return [h('p', { class: 'problem' }, more === '' ? `${title}.` : `${title}. ${more}`)]
}

export function bar(done: number, all: number | undefined): HTMLElement {
  // Without a value the bar says that nobody knows how long.
  return all === undefined ? h('progress', {}) : h('progress', { max: Math.max(all, 1), value: all === 0 ? 1 : done })
}

/** Both sides look at what is there from before. */
export function comparing(stage: { readonly done: number; readonly total: number }): Child[] {
  return [bar(stage.done, stage.total), h('p', {}, comparingWords(stage))]
}

export function comparingWords({ done, total }: { readonly done: number; readonly total: number }): string {
  return fill('comparing', { percent: percent(done, total) })
}

export function progress(
  { done, perSecond }: { done: number; perSecond: number | undefined },
  all: number | undefined,
): string {
  const parts = { done: size(done), total: all === undefined ? '…' : size(all) }
  if (perSecond === undefined || perSecond < 1 || all === undefined) return fill('sendingBegun', parts)
  const left = clock(((all - done) / perSecond) * 1000)
  return fill('sendingNow', { ...parts, rate: size(perSecond), left })
}
