/** Doubles for the tests of an app: a relay in memory, a clock that the test turns, faults of the network. */

export { TestClock } from './clock.ts'
export type { Network, TestDevice } from './device.ts'
export { TestRelay, type TestRelayOptions } from './relay.ts'
