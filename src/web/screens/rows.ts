import { type Child, h } from '../dom.ts'
import { ENDS } from '../ends.ts'
import { clock, size } from '../format.ts'
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

export function progress(
  { done, perSecond }: { done: number; perSecond: number | undefined },
  all: number | undefined,
): string {
  const parts = { done: size(done), total: all === undefined ? '…' : size(all) }
  if (perSecond === undefined || perSecond < 1 || all === undefined) return fill('sendingBegun', parts)
  const left = clock(((all - done) / perSecond) * 1000)
  return fill('sendingNow', { ...parts, rate: size(perSecond), left })
}
