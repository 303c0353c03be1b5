export { settled, TestClock as FakeTime } from '../../src/testing/clock.ts'
