import { performance } from 'node:perf_hooks'
import type * as Sdk from '../../src/client/index.ts'
import { measured, type Usage } from './time.ts'

/** Whole pairings with the built SDK: what two devices see, cryptography and all. */

const PAYLOAD_BYTES = 100

export interface SdkResult extends Usage {
  readonly failed: number
  readonly firstFailure: string | undefined
  readonly wholeMs: Float64Array
  readonly codeToDeliveryMs: Float64Array
}

export async function runSdkPairings(args: {
  relay: string
  concurrency: number
  count: number
  seconds: number
}): Promise<SdkResult> {
  const sdk: typeof Sdk = await import(new URL('../../../dist/client/index.js', import.meta.url).href)
  const wholeMs: number[] = []
  const codeToDeliveryMs: number[] = []
  let [started, failed] = [0, 0]
  let firstFailure: string | undefined
  const until = performance.now() + args.seconds * 1000
  const lane = async () => {
    while (started < args.count && performance.now() < until) {
      started++
      try {
        const times = await pairOnce(sdk, args.relay)
        wholeMs.push(times.wholeMs)
        codeToDeliveryMs.push(times.codeToDeliveryMs)
      } catch (error) {
        failed++
        firstFailure ??= error instanceof Error ? error.message : String(error)
      }
    }
  }
  const { seconds, cpuSeconds } = await measured(() => Promise.all(Array.from({ length: args.concurrency }, lane)))
  return {
    seconds,
    cpuSeconds,
    failed,
    firstFailure,
    wholeMs: Float64Array.from(wholeMs),
    codeToDeliveryMs: Float64Array.from(codeToDeliveryMs),
  }
}

async function pairOnce({ Sender, Receiver, bytesSource }: typeof Sdk, relay: string) {
  const startedAt = performance.now()
  const sender = await Sender.open({ relay })
  const enteredAt = performance.now()
  let deliveredAt = 0
  const send = async () => {
    for await (const request of sender.requests()) await request.approve()
    await sender.send([bytesSource(new Uint8Array(PAYLOAD_BYTES), 'note')])
    deliveredAt = performance.now()
    await sender.close()
  }
  const receive = async () => {
    const receiver = await Receiver.join({ relay, code: sender.code })
    for await (const offer of receiver.offers()) {
      for await (const item of offer.accept()) await new Response(item.stream).arrayBuffer()
    }
  }
  await Promise.all([send(), receive()])
  return { wholeMs: performance.now() - startedAt, codeToDeliveryMs: deliveredAt - enteredAt }
}
