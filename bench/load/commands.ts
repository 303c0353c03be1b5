import { randomBytes } from 'node:crypto'
import { HttpWire } from './http.ts'
import { createSession, freshCode, join } from './relay-client.ts'
import { measured, type Usage } from './time.ts'
import type { Address } from './wire.ts'

/** The two commands that strangers can send, as fast as kept-alive connections carry them. */

/** How many receivers may wait in one session. */
const JOINS_PER_SESSION = 8

export interface CommandLoad {
  readonly address: Address
  readonly command: 'create' | 'join'
  readonly connections: number
  readonly count: number
  /** Bare servers have no sessions to join: any code will do. */
  readonly bare: boolean
}

export interface CommandResult extends Usage {
  readonly count: number
}

/** The codes of sessions that wait for joins. */
let joinable: string[] = []

/** Creates as many sessions as `count` joins need. */
export async function prepareJoins(args: { address: Address; connections: number; count: number }): Promise<void> {
  joinable = Array.from({ length: Math.ceil(args.count / JOINS_PER_SESSION) }, freshCode)
  const left = [...joinable]
  await onConnections(args, async (wire) => {
    for (let code = left.pop(); code !== undefined; code = left.pop()) {
      await createSession(wire, code, freshCode(), JOINS_PER_SESSION)
    }
  })
}

/** Sends `count` commands, every one of which is meant to succeed. Joins at a relay need `prepareJoins`. */
export async function runCommands(load: CommandLoad): Promise<CommandResult> {
  let started = 0
  return onConnections(load, async (wire) => {
    while (started < load.count) {
      const n = started++
      if (load.command === 'create') await createSession(wire, freshCode(), freshCode())
      else await join(wire, load.bare ? freshCode() : (joinable[Math.floor(n / JOINS_PER_SESSION)] ?? ''), freshCode())
    }
  }).then(({ seconds, cpuSeconds }) => ({ seconds, cpuSeconds, count: load.count }))
}

async function onConnections(
  { address, connections }: { address: Address; connections: number },
  work: (wire: HttpWire) => Promise<void>,
): Promise<Usage> {
  const wires = await Promise.all(Array.from({ length: connections }, () => HttpWire.connect(address)))
  try {
    const { seconds, cpuSeconds } = await measured(() => Promise.all(wires.map(work)))
    return { seconds, cpuSeconds }
  } finally {
    for (const wire of wires) wire.close()
  }
}

let flooding = false

/** Joins with codes that nobody registered, on each connection one after the other, until `stopFlood`. */
export async function flood(args: { address: Address; connections: number }): Promise<CommandResult> {
  flooding = true
  let refused = 0
  const usage = await onConnections(args, async (wire) => {
    while (flooding) {
      const publicKey = randomBytes(32).toString('base64url')
      const body = { senderCode: freshCode(), receiverCode: freshCode(), publicKey }
      const { status } = await wire.request('POST', '/v1/receivers', { body })
      if (status !== 404 && status !== 429) throw new Error(`a wrong code was answered with ${status}`)
      refused++
    }
  })
  return { ...usage, count: refused }
}

export async function stopFlood(): Promise<void> {
  flooding = false
}
