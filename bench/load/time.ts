import { performance } from 'node:perf_hooks'

export interface Usage {
  readonly seconds: number
  /** CPU-seconds of this process meanwhile. */
  readonly cpuSeconds: number
}

/** Measures this process while `work` runs. */
export async function measured<T>(work: () => Promise<T>): Promise<Usage & { readonly result: T }> {
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()]
  const result = await work()
  const cpu = process.cpuUsage(cpuBefore)
  return {
    result,
    seconds: (performance.now() - startedAt) / 1000,
    cpuSeconds: (cpu.user + cpu.system) / 1e6,
  }
}

export function withTimeout<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${ms / 1000} s`)), ms)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
