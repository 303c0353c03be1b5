import { type ESTree, type Plugin, parseAst, Visitor } from 'vite'

/** Members and constants of packages that the page never uses. No bundler can tell: they hang on what it uses, or call something. */
export const UNUSED: readonly (readonly [module: string, members: readonly string[]])[] = [
  [
    '/tweetnacl/nacl.js',
    ['lowlevel', 'secretbox', 'box', 'sign', 'hash', 'sigma', 'minusp', 'K', 'iv', 'L', 'D', 'D2', 'X', 'Y', 'I'],
  ],
  ['/@noble/curves/ed25519.js', ['hashToCurve', 'hashToScalar']],
  ['/@noble/curves/abstract/modular.js', ['invertBatch']],
  ['/@noble/hashes/sha3.js', ['xof']],
  ['/@noble/post-quantum/ml-kem.js', ['getPublicKey']],
  ['/qr/decode.js', ['decodeAsync']],
  // w: the table for kanji, which no address of a relay has.
  ['/lean-qr/index.mjs', ['toCanvas', 'toDataURL', 'toImageData', 'toString', 'w']],
  ['/src/client/list.ts', ['toJSON']],
  ['/src/client/sender.ts', ['codeExpiresInMs', 'verifiedCount']],
]
/** Errors that the page tells by a code, or not at all: their texts are for developers. */
const PLAIN_ERROR = /^(Type|Range|Stream|Frame)?Error$/

/** Leaves out of the page what it never runs or shows. Whatever stays is as it was. Fails where there is nothing to leave out. */
export function leftOut(): Plugin {
  const unseen = new Set(UNUSED.map(([module]) => module))
  return {
    name: 'left-out',
    apply: 'build',
    enforce: 'post',
    transform(code, id) {
      if (!/\.m?[jt]s$/.test(id)) return undefined
      const [module, members] = UNUSED.find(([end]) => id.endsWith(end)) ?? ['', []]
      unseen.delete(module)
      return { code: without(code, members), map: null }
    },
    buildEnd(error) {
      if (!error && unseen.size > 0) throw new Error(`not in the page any more: ${[...unseen].join(', ')}`)
    },
  }
}

/**
 * A module without these members, without these variables, and without the texts of the errors that it throws.
 * Throws when it has none of that name: another version of a package has to be looked at.
 */
export function without(code: string, members: readonly string[]): string {
  const cuts: [start: number, end: number][] = []
  const found = new Set<string>()
  /** Reports whether a name is one of those that go. */
  const goes = (name: string | undefined) => name !== undefined && members.includes(name) && found.add(name).size > 0
  const cut = ({ start, end }: ESTree.Span) => cuts.push([start, code[end] === ',' ? end + 1 : end])
  const cutMember = (node: ESTree.MethodDefinition | ESTree.ObjectProperty) => {
    if (node.key.type === 'Identifier' && goes(node.key.name)) cut(node)
  }
  new Visitor({
    MethodDefinition: cutMember,
    Property: (node) => {
      if ('value' in node && /^(Arrow)?Function/.test(node.value.type)) cutMember(node as ESTree.ObjectProperty)
    },
    ExpressionStatement: (node) => {
      const { expression } = node
      if (expression.type === 'AssignmentExpression' && goes(firstMember(expression.left))) cut(node)
    },
    VariableDeclaration: (declaration) => {
      const { declarations } = declaration
      for (const [index, { id, end }] of declarations.entries()) {
        if (id.type !== 'Identifier' || !goes(id.name)) continue
        if (declarations.length === 1) cut(declaration)
        else cuts.push([declarations[index - 1]?.end ?? 0, end])
      }
    },
    ThrowStatement: ({ argument }) => {
      if (argument.type !== 'NewExpression' || argument.callee.type !== 'Identifier') return
      const [text, ...others] = argument.arguments
      if (text && others.length === 0 && PLAIN_ERROR.test(argument.callee.name)) cuts.push([text.start, text.end])
    },
  }).visit(parseAst(code))
  const missing = members.filter((name) => !found.has(name))
  if (missing.length > 0) throw new Error(`there is nothing to leave out: ${missing.join(', ')}`)
  const isInside = ([start]: readonly number[]) => cuts.some(([from, to]) => from < (start ?? 0) && (start ?? 0) < to)
  const outer = cuts.filter((each) => !isInside(each)).sort(([a], [b]) => b - a)
  return outer.reduce((rest, [start, end]) => rest.slice(0, start) + rest.slice(end), code)
}

/** The name `b` of `a.b` and of `a.b.c`. */
function firstMember(left: ESTree.Node): string | undefined {
  if (left.type !== 'MemberExpression') return undefined
  if (left.object.type === 'MemberExpression') return firstMember(left.object)
  return left.property.type === 'Identifier' ? left.property.name : undefined
}
