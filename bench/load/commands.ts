import { randomBytes } from 'node:crypto'
import { measured, type Usage } from './bulk.ts'
import { HttpWire } from './http.ts'
import { createSession, freshCode, join } from './relay-client.ts'
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

/** Sends `count` commands, every one of which is meant to succeed. What they need is prepared before the clock runs. */
export async function runCommands(load: CommandLoad): Promise<CommandResult> {
  const wires = await Promise.all(Array.from({ length: load.connections }, () => HttpWire.connect(load.address)))
  try {
    const codes = load.command === 'join' ? await codesToJoin(load, wires) : []
    let started = 0
    const { seconds, cpuSeconds } = await measured(() =>
      Promise.all(
        wires.map(async (wire) => {
          while (started < load.count) {
            const n = started++
            if (load.command === 'create') await createSession(wire, freshCode(), freshCode())
            else await join(wire, codes[Math.floor(n / JOINS_PER_SESSION)] ?? '', freshCode())
          }
        }),
      ),
    )
    return { seconds, cpuSeconds, count: load.count }
  } finally {
    for (const wire of wires) wire.close()
  }
}

async function codesToJoin({ count, bare }: CommandLoad, wires: readonly HttpWire[]): Promise<string[]> {
  const codes = Array.from({ length: Math.ceil(count / JOINS_PER_SESSION) }, freshCode)
  if (bare) return codes
  let next = 0
  await Promise.all(
    wires.map(async (wire) => {
      for (let code = codes[next++]; code !== undefined; code = codes[next++]) {
        await createSession(wire, code, freshCode(), JOINS_PER_SESSION)
      }
    }),
  )
  return codes
}

let flooding = false

/** Joins with codes that nobody registered, on each connection one after the other, until `stopFlood`. */
export async function flood(args: { address: Address; connections: number }): Promise<CommandResult> {
  const wires = await Promise.all(Array.from({ length: args.connections }, () => HttpWire.connect(args.address)))
  flooding = true
  let refused = 0
  const { seconds, cpuSeconds } = await measured(() =>
    Promise.all(
      wires.map(async (wire) => {
        while (flooding) {
          const body = {
            senderCode: freshCode(),
            receiverCode: freshCode(),
            publicKey: randomBytes(32).toString('base64url'),
          }
          const { status } = await wire.request('POST', '/v1/receivers', { body })
          if (status !== 404 && status !== 429) throw new Error(`a wrong code was answered with ${status}`)
          refused++
        }
      }),
    ),
  )
  for (const wire of wires) wire.close()
  return { seconds, cpuSeconds, count: refused }
}

export async function stopFlood(): Promise<void> {
  flooding = false
}
