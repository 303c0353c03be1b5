import { totalmem } from 'node:os'

const MIB = 1024 * 1024
/** Memory that the process takes beside the frames that it holds, where it is short. */
export const PROCESS_BYTES = 96 * MIB
/** File descriptors for everything that is no connection. */
export const OTHER_DESCRIPTORS = 256

/** The bytes that the container of this process may use (cgroup v1 or v2), if it has a limit. */
export function containerBytes(): number | undefined {
  const limit = process.constrainedMemory()
  return limit > 0 && limit < totalmem() ? limit : undefined
}

/** The file descriptors that this process may have, if there is a limit. */
export function descriptorLimit(): number | undefined {
  // Without it the report asks for the names of all addresses.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { readonly userLimits?: { readonly open_files?: { soft?: unknown } } }
  const soft = report.userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : undefined
}

/** In one line, why a budget for frames does not fit into a container; undefined when it does. */
export function misfitOf(budgetBytes: number, container: number | undefined): string | undefined {
  if (container === undefined || budgetBytes + PROCESS_BYTES <= container) return undefined
  const fits = container - PROCESS_BYTES
  const advice = fits > 0 ? `set it to ${fits} or less` : `give the container more than ${PROCESS_BYTES}`
  const room = `beside ${PROCESS_BYTES} for the process the container's ${container} bytes have no room for it`
  return `MEMORY_BUDGET_BYTES is ${budgetBytes}, and ${room}: ${advice}`
}

/** A budget from which memory is not short. */
const LARGE_BUDGET_BYTES = 256 * MIB

/**
 * Flags for V8. Frames and reads live outside of its heap, but count as its growth: by itself it would answer a transfer with
 * a full collection every few megabytes. Where memory is not short, the heap may grow to four times what is alive, as
 * `npm run bench -- --only flatness` shows. Elsewhere garbage is collected sooner, and the young generation stays small.
 */
export function heapFlags(budgetBytes: number, container = Infinity): readonly string[] {
  const isShort = budgetBytes < LARGE_BUDGET_BYTES || container < budgetBytes + 2 * PROCESS_BYTES
  return isShort ? ['--heap-growing-percent=100', '--semi-space-growth-factor=1'] : ['--heap-growing-percent=300']
}

/** As many connections as the file descriptors allow, and `wanted` at most. */
export function connectionsWithin(wanted: number, descriptors: number | undefined): number {
  if (descriptors === undefined) return wanted
  return Math.min(wanted, Math.max(descriptors - OTHER_DESCRIPTORS, Math.floor(descriptors / 2)))
}
