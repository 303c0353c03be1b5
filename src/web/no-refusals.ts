/** Stands in for what the SDK says of wrong arguments, which the page has none of. */
export function refusal(): TypeError {
  return new TypeError()
}

export function requireSources(): void {}
