import type { CDPSession, Page } from 'playwright-core'

interface AxValue {
  readonly value?: unknown
}

interface AxNode {
  readonly nodeId: string
  readonly parentId?: string
  readonly ignored: boolean
  readonly role?: AxValue
  readonly name?: AxValue
  readonly description?: AxValue
  readonly value?: AxValue
  readonly properties?: readonly { readonly name: string; readonly value: AxValue }[]
  readonly childIds?: readonly string[]
}

/** Roles that say their name, and nothing that is in them. */
const LEAVES = [
  'heading',
  'button',
  'link',
  'textbox',
  'combobox',
  'checkbox',
  'image',
  'progressbar',
  'DisclosureTriangle',
]
/** Roles that are said when a reader comes to them, with nothing else. */
const GROUPS = ['banner', 'main', 'contentinfo', 'list', 'listitem', 'dialog', 'alertdialog', 'group', 'region']
/** Roles of text, whose pieces are read as one. */
const BLOCKS = ['paragraph', 'term', 'definition', 'pre', 'LabelText']
const STATES = ['focused', 'disabled', 'invalid', 'expanded', 'modal', 'required']

/** A page as a screen reader has it. */
export class Listener {
  readonly #page: Page
  readonly #session: CDPSession

  private constructor(page: Page, session: CDPSession) {
    this.#page = page
    this.#session = session
  }

  static async at(page: Page): Promise<Listener> {
    await page.evaluate(() => {
      const scope = globalThis as { said?: string[] }
      scope.said = []
      for (const region of document.querySelectorAll('[aria-live]'))
        new MutationObserver(() => {
          scope.said?.push(`${region.getAttribute('aria-live')}: ${region.textContent?.trim()}`)
        }).observe(region, { childList: true, characterData: true, subtree: true })
    })
    return new Listener(page, await page.context().newCDPSession(page))
  }

  /** Words of the screen in their order, from the accessibility tree, after what was said by itself since the last time. */
  async hears(): Promise<string[]> {
    const said = await this.#page.evaluate(() => (globalThis as { said?: string[] }).said?.splice(0) ?? [])
    const { nodes } = (await this.#session.send('Accessibility.getFullAXTree')) as unknown as { nodes: AxNode[] }
    const title = await this.#page.title()
    return [
      `title: ${title}`,
      ...said.filter((words) => !words.endsWith(': ')).map((words) => `said, ${words}`),
      ...wordsOf(nodes),
    ]
  }
}

function wordsOf(nodes: readonly AxNode[]): string[] {
  const byId = new Map(nodes.map((node) => [node.nodeId, node]))
  const childrenOf = (node: AxNode) => (node.childIds ?? []).flatMap((id) => byId.get(id) ?? [])
  const text = (node: AxNode): string =>
    node.role?.value === 'StaticText' ? String(node.name?.value ?? '') : joined(childrenOf(node).map(text))
  const isText = (node: AxNode): boolean =>
    node.role?.value === 'StaticText' || (!LEAVES.includes(String(node.role?.value)) && childrenOf(node).every(isText))

  function read(node: AxNode): string[] {
    const role = String(node.role?.value)
    const inner = childrenOf(node)
    if (node.ignored) return inner.flatMap(read)
    if (role === 'StaticText') return [text(node).trim()].filter((words) => words !== '')
    if (role === 'InlineTextBox') return []
    if (LEAVES.includes(role))
      return [`${spokenRole(node)}: ${[node.name?.value, ...about(node)].filter(Boolean).join(', ')}`]
    const within =
      BLOCKS.includes(role) && isText(node) ? [text(node).trim()].filter((words) => words !== '') : inner.flatMap(read)
    if (!GROUPS.includes(role) || within.length === 0) return within
    const name = node.name?.value ? ` ${node.name.value}` : ''
    const of = role === 'list' ? ` of ${inner.filter(({ ignored }) => !ignored).length}` : ''
    return [`${role}${name}${of}${isFocused(node) ? ', focused' : ''}`, ...within.map((line) => `  ${line}`)]
  }

  const [root] = nodes
  return root ? read(root) : []
}

/** Pieces that stand in boxes of their own are read one by one, and pieces of one text without a pause. */
function joined(pieces: readonly string[]): string {
  return pieces.reduce(
    (said, piece) => said + (/\S$/.test(said) && /^[\p{L}\p{N}-]/u.test(piece) ? ' ' : '') + piece,
    '',
  )
}

function spokenRole(node: AxNode): string {
  const level = node.properties?.find(({ name }) => name === 'level')?.value.value
  return level ? `heading ${level}` : node.role?.value === 'DisclosureTriangle' ? 'details' : String(node.role?.value)
}

function isFocused(node: AxNode): boolean {
  return node.properties?.some(({ name, value }) => name === 'focused' && value.value === true) ?? false
}

function about(node: AxNode): string[] {
  const states = (node.properties ?? []).filter(({ name, value }) => STATES.includes(name) && value.value !== 'false')
  const told = states.flatMap(({ name, value }) =>
    name === 'expanded' ? [value.value ? 'open' : 'closed'] : value.value ? [name] : [],
  )
  const value = node.role?.value === 'heading' ? undefined : node.value?.value
  return [value, node.description?.value, ...told].filter((each) => each !== undefined && each !== '').map(String)
}
