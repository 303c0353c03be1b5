/** The used part of a profile that V8 writes with --cpu-prof. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string }
  }[]
  readonly samples: readonly number[]
  /** Microseconds before each sample. */
  readonly timeDeltas: readonly number[]
}

/** Whose code ran. */
export type Origin = 'ours' | 'ws' | 'libraries' | 'node' | 'collector' | 'native'

/** Each origin's share of the time that was not idle, from 0 to 1. */
export function sharesOf({ nodes, samples, timeDeltas }: CpuProfile): Map<Origin, number> {
  const origins = new Map(nodes.map(({ id, callFrame }) => [id, originOf(callFrame)]))
  const micros = new Map<Origin, number>()
  let busy = 0
  samples.forEach((id, i) => {
    const origin = origins.get(id)
    if (origin === undefined) return
    const delta = timeDeltas[i] ?? 0
    micros.set(origin, (micros.get(origin) ?? 0) + delta)
    busy += delta
  })
  return new Map([...micros].map(([origin, time]) => [origin, time / busy]))
}

function originOf({ functionName, url }: CpuProfile['nodes'][number]['callFrame']): Origin | undefined {
  if (functionName === '(idle)') return undefined
  if (functionName === '(garbage collector)') return 'collector'
  if (url.startsWith('node:')) return 'node'
  if (url.includes('/node_modules/ws/')) return 'ws'
  if (url.includes('/node_modules/')) return 'libraries'
  return url.startsWith('file:') ? 'ours' : 'native'
}
