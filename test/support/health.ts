import { expect } from 'vitest'
import { pair } from '../conformance/client.ts'
import { ack, data } from '../conformance/device.ts'
import { relayAt } from '../conformance/relay.ts'
import { NOTHING_LEFT } from './relay.ts'
import type { ProcessState, RelayProcess } from './relay-process.ts'

/** Growth allowed to a heap after everything is forgotten: caches and compiled code, not sessions. */
const HEAP_SLACK_BYTES = 6 * 1024 * 1024

/** An honest pairing with one frame in each direction, its acks, and its end. */
export async function expectHealthy({ url }: { readonly url: string }): Promise<void> {
  const { sender, S, R } = await pair(relayAt(url))
  for (const device of [S, R]) device.send(data(1, 1, 'a frame'))
  for (const device of [S, R]) {
    expect((await device.nextData()).bytes).toEqual(data(1, 1, 'a frame'))
    device.send(ack(1, 1))
  }
  for (const device of [S, R]) while ((await device.nextAck()) !== '1/1');
  await sender.close()
  for (const device of [S, R]) expect((await device.closed()).code).toBe(4410)
}

/** Lets the process load, compile and cache what any traffic makes it load, compile and cache. */
export async function warmUp(relay: RelayProcess): Promise<void> {
  for (let i = 0; i < 200; i++) await expectHealthy(relay)
  await relay.forgetEverything()
}

/** After everything's time is over the relay holds nothing, and its heap is what it was. */
export async function expectIdle(relay: RelayProcess, before: ProcessState): Promise<void> {
  await relay.forgetEverything()
  const after = await relay.state()
  expect(after.counters).toEqual(NOTHING_LEFT)
  expect(after.heapBytes - before.heapBytes).toBeLessThan(HEAP_SLACK_BYTES)
  expect(after.externalBytes - before.externalBytes).toBeLessThan(HEAP_SLACK_BYTES)
  expect(relay.failures).toEqual([])
  expect(relay.exitCode()).toBeUndefined()
}
