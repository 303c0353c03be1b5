import { readdirSync, readFileSync, writeFileSync } from 'node:fs'

/** Figures that Linux has of other processes. They are read from outside: the measured process does nothing for them. */

/** CPU time that all threads of these processes have had, in seconds, to the nanosecond. */
export function cpuSeconds(pids: readonly number[]): number {
  let nanoseconds = 0
  for (const pid of pids) {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      try {
        nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0])
      } catch {
        // A thread that ended between the two calls.
      }
    }
  }
  return nanoseconds / 1e9
}

/** CPU time of a process so far, in ticks of the kernel's: its own code, and the kernel on its behalf. */
export function cpuSplit(pid: number): { readonly user: number; readonly kernel: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // The name in brackets may have spaces; what follows it begins with field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { user: Number(fields[11]), kernel: Number(fields[12]) }
}

/** Resident memory now, and at its highest since `resetPeak`, in bytes. */
export function memory(pids: readonly number[]): { readonly rss: number; readonly peak: number } {
  const sum = { rss: 0, peak: 0 }
  for (const pid of pids) {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024
    sum.rss += field('VmRSS')
    sum.peak += field('VmHWM')
  }
  return sum
}

export function resetPeak(pids: readonly number[]): void {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** File descriptors one process may have. Node raises its own soft limit to the hard one. */
export function descriptorLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'utf8')
  return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? 1024)
}

export interface Cost {
  /** CPU-seconds of the server. */
  readonly serverCpu: number
  /** Peak resident memory of the server, and how much of it came on top of what it had before. */
  readonly peakBytes: number
  readonly risenBytes: number
}

/** Returns the cost of `work` to a server. */
export async function costOf<T>(
  pids: readonly number[],
  work: () => Promise<T>,
): Promise<Cost & { readonly result: T }> {
  resetPeak(pids)
  const before = memory(pids).rss
  const cpuBefore = cpuSeconds(pids)
  const result = await work()
  const serverCpu = cpuSeconds(pids) - cpuBefore
  const { peak } = memory(pids)
  return { result, serverCpu, peakBytes: peak, risenBytes: Math.max(0, peak - before) }
}
