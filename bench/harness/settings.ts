/**
 * Settings beyond the relay's defaults, for sections that hold or make more than one operator's clients would. All
 * of it is printed with the results; everything else is as `config.ts` has it.
 */
export const MANY_SESSIONS = {
  MAX_SESSIONS: '2000000',
  MAX_SESSIONS_PER_CLIENT: '2000000',
  // Nothing is allocated before frames come. With more than the machine has, the relay would collect garbage sooner.
  MEMORY_BUDGET_BYTES: '8589934592',
} as const

/** The limits by client address, which every other relay here has switched off. */
export const LIMITED = { RATE_LIMIT: 'on' } as const

export function settingsNote(env: Readonly<Record<string, string>>): string {
  const set = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  return `relay: defaults, and ${set.join(' ')}`
}
