import { readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'vite'
import { expect, test } from 'vitest'

/** Everything that an app can see of the SDK says what it is for: the exports of `src/client/index.ts`, and their members. */

const INDEX = fileURLToPath(new URL('../../src/client/index.ts', import.meta.url))

// biome-ignore lint/suspicious/noExplicitAny: a node of any kind
type Node = any

/** A module's text, and what it declares and imports by name. */
interface Module {
  readonly text: string
  readonly declared: ReadonlyMap<string, { readonly declaration: Node; readonly at: number }>
  readonly imported: ReadonlyMap<string, readonly [path: string, name: string]>
  readonly exports: readonly (readonly [path: string, name: string])[]
}

function moduleOf(path: string, text: string): Module {
  const declared = new Map<string, { declaration: Node; at: number }>()
  const imported = new Map<string, [string, string]>()
  const exports: [string, string][] = []
  const pathOf = (source: string) => join(dirname(path), source)
  for (const node of parseSync(path, text).program.body as Node[]) {
    const declaration = node.declaration ?? node
    for (const each of declaration.declarations ?? [declaration]) {
      if (each.id) declared.set(each.id.name, { declaration, at: node.start })
    }
    if (node.type === 'ImportDeclaration' && node.source.value.startsWith('.')) {
      for (const { local, imported: other } of node.specifiers) {
        if (other) imported.set(local.name, [pathOf(node.source.value), other.name])
      }
    }
    if (node.type === 'ExportNamedDeclaration' && node.source) {
      for (const { local } of node.specifiers) exports.push([pathOf(node.source.value), local.name])
    }
  }
  return { text, declared, imported, exports }
}

/** Reports whether a doc comment ends right in front of this place. */
const hasDoc = ({ text }: Module, at: number) => /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\s*$/.test(text.slice(0, at))

/** The members of a declaration that an app sees. */
function membersOf(node: Node): Node[] {
  if (!node || typeof node !== 'object') return []
  const { type, key, accessibility, kind, override } = node
  if (/^TS(Property|Method)Signature$/.test(type)) return [node]
  if (type === 'PropertyDefinition' || type === 'MethodDefinition') {
    const isHidden =
      key.type === 'PrivateIdentifier' || accessibility === 'private' || kind === 'constructor' || override
    return isHidden ? [] : [node]
  }
  if (type === 'FunctionDeclaration' || type === 'VariableDeclaration') return []
  return Object.values(node).flatMap((each) => (Array.isArray(each) ? each.flatMap(membersOf) : membersOf(each)))
}

/** Names of types whose members are those of a declaration too. */
function basesOf(node: Node): string[] {
  const names: string[] = []
  const walk = (each: Node): void => {
    if (!each || typeof each !== 'object' || each.type === 'TSTypeQuery') return
    if (each.type === 'Identifier') names.push(each.name)
    for (const inner of Object.values(each)) walk(inner)
  }
  for (const each of [
    ...(node.extends ?? []),
    ...(node.type === 'TSTypeAliasDeclaration' ? [node.typeAnnotation] : []),
  ])
    walk(each)
  return names
}

/** Exports and members without a doc comment, as `module: name.member`. `read` gives the text of a module. */
function undocumented(index: string, read: (path: string) => string): string[] {
  const modules = new Map<string, Module>()
  const load = (path: string) => {
    const module = modules.get(path) ?? moduleOf(path, read(path))
    modules.set(path, module)
    return module
  }
  const missing = new Set<string>()
  const seen = new Set<string>()
  const visit = (path: string, name: string): void => {
    const module = load(path)
    const found = module.declared.get(name)
    const other = module.imported.get(name)
    if (!found && other) return visit(...other)
    if (!found || seen.has(`${path} ${name}`)) return
    seen.add(`${path} ${name}`)
    const { declaration, at } = found
    const where = `${relative(dirname(index), path)}: ${name}`
    if (!hasDoc(module, at)) missing.add(where)
    for (const member of membersOf(declaration)) {
      if (!hasDoc(module, member.start)) missing.add(`${where}.${member.key.name}`)
    }
    for (const base of basesOf(declaration)) visit(path, base)
  }
  for (const [path, name] of load(index).exports) visit(path, name)
  return [...missing]
}

test('every export of the SDK, and every member that an app sees of one, has a doc comment', () => {
  expect(undocumented(INDEX, (path) => readFileSync(path, 'utf8'))).toEqual([])
})

test('a member without one is found, where it is inherited and inside a type as well', () => {
  const sources: Readonly<Record<string, string>> = {
    'index.ts': "export { A } from './a.ts'\nexport type { B } from './b.ts'",
    'a.ts':
      '/** An A. */\nexport class A {\n  readonly b = 1\n  /** A c. */\n  c() {}\n  get d() {}\n  #e = 1\n  private f() {}\n}',
    'b.ts': "import type { C } from './c.ts'\n/** A B. */\nexport type B = C & { readonly g: string }",
    'c.ts': 'export interface C {\n  /** An h. */\n  h: string\n  i?: () => void\n}',
  }
  expect(undocumented('index.ts', (path) => sources[path] ?? '')).toEqual([
    'a.ts: A.b',
    'a.ts: A.d',
    'b.ts: B.g',
    'c.ts: C',
    'c.ts: C.i',
  ])
})
