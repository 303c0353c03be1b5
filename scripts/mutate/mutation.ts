/** A protection that is taken out, and the test that has to fail without it. */
export interface Mutation {
  readonly removed: string
  /** Pieces of src and their replacements. Each stands there once, in whatever file, and however it is wrapped. */
  readonly edits: readonly (readonly [piece: string, replacement: string])[]
  /** A file, and a piece of the test's name. */
  readonly test: readonly [file: string, name: string]
}

/** The test as the README names it. */
export function nameOf({ test: [file, name] }: Mutation): string {
  return `\`${file}\`: ${name}`
}

/** The files that a mutation changes, or why it cannot. */
export function applied(
  { edits }: Mutation,
  sources: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> | string {
  const changed = new Map<string, string>()
  for (const [piece, replacement] of edits) {
    const pattern = new RegExp(piece.trim().split(/\s+/).map(escaped).join('\\s+'), 'g')
    const found = [...sources].flatMap(([file, text]) =>
      [...(changed.get(file) ?? text).matchAll(pattern)].map(() => file),
    )
    const [file] = found
    if (file === undefined || found.length > 1) return `${found.length} places in src have ${piece}`
    changed.set(
      file,
      (changed.get(file) ?? sources.get(file) ?? '').replace(pattern, () => replacement),
    )
  }
  return changed
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

/** Makes the mutations that a test file is for. */
export function protection(file: string) {
  return (removed: string, name: string, ...edits: Mutation['edits']): Mutation => ({
    removed,
    edits,
    test: [file, name],
  })
}

/** The table of the README, a part for each section. */
export function tableOf(protections: Readonly<Record<string, readonly Mutation[]>>): string {
  const parts = Object.entries(protections).map(([section, mutations]) => {
    const rows = mutations.map((each) => `| ${each.removed} | ${nameOf(each)} |`)
    return [`\n### ${section}\n`, '| removed | test that fails |', '|---|---|', ...rows, ''].join('\n')
  })
  return parts.join('')
}
