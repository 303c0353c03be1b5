/** Elements without HTML: whatever a peer or a relay says becomes a text node, and nothing else. */

export type Child = Node | string | undefined | false
type Props<T extends keyof HTMLElementTagNameMap> = Partial<
  Omit<HTMLElementTagNameMap[T], 'style' | 'children' | 'dataset' | 'innerHTML' | 'outerHTML'>
> & { readonly [name: `aria-${string}` | `data-${string}`]: string } & {
  readonly class?: string
  readonly role?: string
}

/** An element with these properties and children. Names with a dash, `role` and `class` become attributes. */
export function h<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  props: Props<T> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[T] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined) continue
    if (name === 'class' || name === 'role' || name.includes('-')) element.setAttribute(name, String(value))
    else Object.assign(element, { [name]: value })
  }
  element.append(...children.filter((child) => child !== undefined && child !== false))
  return element
}

/** A button. `kind` is `main` for what a person most likely wants here. */
export function button(
  text: string,
  onclick: () => void,
  kind: 'main' | 'plain' | 'link' = 'plain',
): HTMLButtonElement {
  return h('button', { type: 'button', class: kind, onclick }, text)
}

/** Something that somebody else wrote, which may run from right to left. */
export function theirs(text: string): HTMLElement {
  return h('bdi', {}, text)
}

/** Digits or a code: from left to right in every language, with the symbols apart for a screen reader. */
export function symbols(text: string, className: string): HTMLElement {
  const shown = [...text].map((symbol) => h('span', {}, symbol))
  return h(
    'span',
    { class: className, 'aria-label': [...text].filter((symbol) => /\w/.test(symbol)).join(' '), role: 'text' },
    ...shown,
  )
}

const HANDLERS = ['onclick', 'onsubmit', 'oninput', 'onchange'] as const

/**
 * Makes an element's children like these, and keeps those that are there already: the focus, what is typed and what is open
 * stays. A child with `data-keep` is left as it is as long as the key is the same.
 */
export function morph(parent: Element, children: readonly Node[]): void {
  for (const [index, wanted] of children.entries()) {
    const there = parent.childNodes[index]
    if (!there) parent.append(wanted)
    else if (!isAlike(there, wanted)) parent.replaceChild(wanted, there)
    else if (there instanceof Element && wanted instanceof Element) morphOne(there, wanted)
    else if (there.nodeValue !== wanted.nodeValue) there.nodeValue = wanted.nodeValue
  }
  while (parent.childNodes.length > children.length) parent.lastChild?.remove()
}

function morphOne(there: Element, wanted: Element): void {
  if (there.hasAttribute('data-keep')) return
  const isOpen = there instanceof HTMLDetailsElement && there.open
  for (const { name } of [...there.attributes]) if (!wanted.hasAttribute(name)) there.removeAttribute(name)
  for (const { name, value } of wanted.attributes)
    if (there.getAttribute(name) !== value) there.setAttribute(name, value)
  if (isOpen) there.setAttribute('open', '')
  for (const name of HANDLERS) if (wanted instanceof HTMLElement) Object.assign(there, { [name]: wanted[name] })
  morph(there, [...wanted.childNodes])
}

function isAlike(there: Node, wanted: Node): boolean {
  if (there.nodeName !== wanted.nodeName) return false
  if (!(there instanceof Element && wanted instanceof Element)) return true
  return ['data-keep', 'data-transfer'].every((name) => there.getAttribute(name) === wanted.getAttribute(name))
}
