/**
 * Settings of the conformance and end-to-end suites, each a project of vitest.config.ts: a relay alone, a node with Redis,
 * two nodes with the sender at one and the receivers at the other, or a relay that is reached over HTTP alone.
 */
export const SETTINGS = ['memory', 'redis', 'nodes', 'http'] as const

export const SETTING = SETTINGS.find((each) => each === process.env.RELAY_SETTING) ?? 'memory'

/** True where all sessions are in the relay's own memory. */
export const isAlone = SETTING === 'memory' || SETTING === 'http'

/** True where frames are in the relay's own memory. */
export const hasFrames = SETTING !== 'nodes'
