/**
 * What the conformance and end-to-end suites run on, each as a project of vitest.config.ts: a relay alone, a node with Redis,
 * two nodes with the sender at one and the receivers at the other, or a relay that is reached over HTTP alone.
 */
const SETTINGS = ['memory', 'redis', 'nodes', 'http'] as const

export const SETTING = SETTINGS.find((each) => each === process.env.RELAY_SETTING) ?? 'memory'

/** Whether a relay's own memory has all that there is of its sessions. */
export const isAlone = SETTING === 'memory' || SETTING === 'http'

/** Whether the frames between a sender and a receiver are in a relay's own memory. */
export const hasFrames = SETTING !== 'nodes'
