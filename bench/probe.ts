/**
 * Preloaded into a server whose memory is measured (`--expose-gc --import`). It does nothing until it is asked over IPC;
 * then it collects garbage twice and answers.
 */

export interface ProbeReading {
  readonly rss: number
  readonly heapUsed: number
  /** Outside V8's heap: ArrayBuffers among others. */
  readonly external: number
  /** Active timers of the process. */
  readonly timers: number
}

const { gc } = globalThis as { gc?: () => void }

process.on('message', async () => {
  gc?.()
  // Finalizers run in later turns, and free what the first collection found.
  await new Promise((resolve) => setTimeout(resolve, 200))
  gc?.()
  const { rss, heapUsed, external } = process.memoryUsage()
  const timers = process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
  process.send?.({ rss, heapUsed, external, timers })
})
// The server alone decides how long it lives.
process.channel?.unref()
