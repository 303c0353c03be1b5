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

/** A heading that takes the focus when its screen comes. */
export function heading(...children: readonly Child[]): HTMLElement {
  return h('h1', { tabIndex: -1 }, ...children)
}

/** A button. `kind` is `main` for what a person most likely wants here. */
export function button(
  text: string,
  onclick: () => void,
  kind: 'main' | 'plain' | 'link' = 'plain',
): HTMLButtonElement {
  return h('button', { type: 'button', class: kind, onclick }, text)
}

/** Buttons in a row, or below each other where there is no room. */
export function buttons(...children: readonly Child[]): HTMLElement {
  return h('div', { class: 'buttons' }, ...children)
}

/** Something that somebody else wrote, which may run from right to left. */
export function theirs(text: string): HTMLElement {
  return h('bdi', {}, text)
}

/** Where a number of six digits is divided. */
const HALF = 3

/**
 * A code or a number: from left to right in every language, each symbol in a box of its own. A screen reader reads the symbols
 * one by one. A dash divides a code in two groups, and a number without one is divided in the middle.
 */
export function symbols(text: string, className: string): HTMLElement {
  const [first, second] = text.includes('-') ? text.split('-') : [text.slice(0, HALF), text.slice(HALF)]
  const group = (part = '') => h('span', { class: 'group' }, ...[...part].map((symbol) => h('span', {}, symbol)))
  const dash = text.includes('-') && h('span', { class: 'dash' }, '-')
  return h('span', { class: className }, group(first), dash, group(second))
}

const HANDLERS = ['onclick', 'onsubmit', 'oninput', 'onchange'] as const
const KEYS = ['data-keep', 'data-key', 'data-transfer'] as const

/**
 * Makes an element's children like these, and keeps those that are there already: the focus, what is typed and what is open
 * stays. A child with `data-keep` is left as it is as long as the key is the same.
 */
export function morph(parent: Element, children: readonly Node[]): void {
  let there = parent.firstChild
  for (const [index, wanted] of children.entries()) {
    while (there && !isAlike(there, wanted) && !isWantedLater(there, children, index)) there = removed(there)
    if (there && isAlike(there, wanted)) {
      const next: ChildNode | null = there.nextSibling
      morphOne(there, wanted)
      there = next
    } else parent.insertBefore(wanted, there)
  }
  while (there) there = removed(there)
}

function isWantedLater(there: Node, children: readonly Node[], index: number): boolean {
  return children.slice(index + 1).some((later) => isAlike(there, later))
}

function removed(node: ChildNode): ChildNode | null {
  const next = node.nextSibling
  node.remove()
  return next
}

function morphOne(there: Node, wanted: Node): void {
  if (!(there instanceof Element && wanted instanceof Element)) {
    if (there.nodeValue !== wanted.nodeValue) there.nodeValue = wanted.nodeValue
    return
  }
  if (there.hasAttribute('data-keep')) return
  const isOpen = there instanceof HTMLDetailsElement && there.open
  for (const { name } of [...there.attributes]) if (!wanted.hasAttribute(name)) there.removeAttribute(name)
  for (const { name, value } of wanted.attributes)
    if (there.getAttribute(name) !== value) there.setAttribute(name, value)
  if (isOpen) there.setAttribute('open', '')
  for (const name of HANDLERS) if (wanted instanceof HTMLElement) Object.assign(there, { [name]: wanted[name] })
  morph(there, [...wanted.childNodes])
}

/** Two nodes of which one can become the other. A button becomes no other button: somebody may be about to press it. */
function isAlike(there: Node, wanted: Node): boolean {
  if (there.nodeName !== wanted.nodeName) return false
  if (!(there instanceof Element && wanted instanceof Element)) return true
  const names = there.nodeName === 'BUTTON' ? [...KEYS, 'class'] : KEYS
  return names.every((name) => there.getAttribute(name) === wanted.getAttribute(name))
}
