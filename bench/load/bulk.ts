import type { Pair } from './endpoints.ts'
import { type LinkSize, openLink, type Target } from './links.ts'
import { measured, type Usage, withTimeout } from './time.ts'

/** As many messages as fast as the way takes them, on any number of ways at once. */

export interface BulkResult extends Usage {
  readonly messages: number
  readonly bytes: number
}

const open = new Map<
  number,
  { readonly pairs: readonly Pair[]; readonly messageBytes: number; run?: () => Promise<BulkResult> }
>()
let nextHandle = 1

/** Opens ways through a server, one after the other: set-up is no part of what is measured. */
export async function openBulk(args: { target: Target; pairs: number } & LinkSize): Promise<number> {
  const pairs: Pair[] = []
  for (let n = 0; n < args.pairs; n++) pairs.push(await openLink(args.target, args))
  const handle = nextHandle++
  open.set(handle, { pairs, messageBytes: args.messageBytes })
  return handle
}

/** Sends `messages` on each way, all at once, and resolves when the last has come. */
export async function runBulk(args: { handle: number; messages: number; timeoutMs: number }): Promise<BulkResult> {
  const { pairs, messageBytes } = handleOf(args.handle)
  const { seconds, cpuSeconds } = await measured(() =>
    withTimeout(args.timeoutMs, Promise.all(pairs.map((pair) => pump(pair, args.messages)))),
  )
  const messages = args.messages * pairs.length
  return { seconds, cpuSeconds, messages, bytes: messages * messageBytes }
}

/** Keeps the first way of a handle saturated until `stopBulk`. */
export async function startBulk({ handle }: { handle: number }): Promise<void> {
  const entry = handleOf(handle)
  const [pair] = entry.pairs
  if (!pair) throw new Error('there is no way to saturate')
  let arrived = 0
  let sent = 0
  let stopping = false
  let failure: string | undefined
  let idle: () => void = () => {}
  const fill = () => {
    while (!stopping && pair.near.canSend()) {
      pair.near.send()
      sent++
    }
    pair.near.flush()
  }
  pair.far.onMessage = () => {
    arrived++
    if (stopping && arrived === sent) idle()
  }
  pair.near.onWritable = fill
  pair.near.onEnd = (reason) => {
    failure = reason
    idle()
  }
  const running = measured(
    () =>
      new Promise<void>((resolve) => {
        idle = resolve
        fill()
      }),
  )
  entry.run = async () => {
    stopping = true
    if (arrived === sent) idle()
    const { seconds, cpuSeconds } = await withTimeout(30_000, running)
    if (failure !== undefined) throw new Error(failure)
    return { seconds, cpuSeconds, messages: arrived, bytes: arrived * entry.messageBytes }
  }
}

export async function stopBulk({ handle }: { handle: number }): Promise<BulkResult> {
  const { run } = handleOf(handle)
  if (!run) throw new Error('nothing was started')
  return run()
}

export async function closeBulk({ handle }: { handle: number }): Promise<void> {
  const { pairs } = handleOf(handle)
  open.delete(handle)
  for (const pair of pairs) await pair.close()
}

function handleOf(handle: number) {
  const entry = open.get(handle)
  if (!entry) throw new Error('no such handle')
  return entry
}

function pump({ near, far }: Pair, messages: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let sent = 0
    let arrived = 0
    const fill = () => {
      while (sent < messages && near.canSend()) {
        near.send()
        sent++
      }
      near.flush()
    }
    far.onMessage = () => {
      if (++arrived === messages) resolve()
    }
    near.onEnd = far.onEnd = (reason) => reject(new Error(`after ${arrived} of ${messages} messages: ${reason}`))
    near.onWritable = fill
    fill()
  })
}
