/**
 * What the conformance and end-to-end suites run on, each as a project of vitest.config.ts: a relay alone, a node with Redis,
 * two nodes with the sender at one and the receivers at the other, or a relay that is reached over HTTP alone.
 */
export const SETTINGS = ['memory', 'redis', 'nodes', 'http'] as const
export type Setting = (typeof SETTINGS)[number]

export const SETTING: Setting = SETTINGS.find((each) => each === process.env.RELAY_SETTING) ?? 'memory'
