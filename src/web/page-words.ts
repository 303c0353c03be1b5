import { cleanText } from '../client/index.ts'
import { button, h } from './dom.ts'
import { fill, WORDS } from './words.ts'

const NAME_MAX = 40
const NOTICE_MAX = 200
const LINKS_MAX = 5

/** The line below every screen: who could change the page, and what to do about it. */
export function footer(ask: () => void): HTMLElement {
  return h(
    'footer',
    {},
    h('p', {}, `${fill('footer', { host: location.host })} `, button(WORDS.howToBeSure, ask, 'link')),
    h('p', { id: 'links' }),
  )
}

/** Shows name, notice and links of whoever runs the relay, as text. Resolves with the version; it may fail without consequence. */
export async function readPageWords(): Promise<string> {
  try {
    const page: Record<string, unknown> = await (await fetch('page.json', { credentials: 'omit' })).json()
    const [name, notice] = [textOf(page.name, NAME_MAX), textOf(page.notice, NOTICE_MAX)]
    const brand = document.querySelector('#brand')
    if (brand && name !== '') brand.textContent = name
    if (brand && notice !== '') brand.after(h('p', { class: 'notice' }, notice))
    const links: unknown[] = Array.isArray(page.links) ? page.links.slice(0, LINKS_MAX) : []
    document.querySelector('#links')?.append(...links.flatMap(linkOf))
    return textOf(page.version, NAME_MAX)
  } catch {
    return ''
  }
}

function textOf(value: unknown, maxLength: number): string {
  return typeof value === 'string' ? cleanText(value, maxLength) : ''
}

function linkOf(link: unknown): HTMLElement[] {
  const { text, url }: { text?: unknown; url?: unknown } = Object(link)
  const label = textOf(text, NAME_MAX)
  if (typeof url !== 'string' || label === '' || !/^https?:\/\//.test(url)) return []
  return [h('a', { href: url, rel: 'noreferrer' }, label)]
}
