const endings: (() => unknown)[] = []

/** Does this after the last test of the file that runs, the last one first. Several files share the modules that they import. */
export function withLastTest(end: () => unknown): void {
  endings.push(end)
}

export async function endLeftovers(): Promise<void> {
  for (let end = endings.pop(); end; end = endings.pop()) await end()
}
