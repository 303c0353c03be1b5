import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  bytesSource,
  type Offer,
  PairingError,
  type PairingErrorCode,
  type Partials,
  Receiver,
  Sender,
  type Source,
  save,
} from '../../../src/client/index.ts'
import { PartialFolder } from '../../../src/node/partial-folder.ts'
import { decodeFrame, FRAME_DATA } from '../../../src/protocol/frame.ts'
import { sha256 } from '../../e2e/people.ts'
import { DeviceWorld, NOTHING_LEFT_HERE } from '../../e2e/world.ts'
import type { Random } from '../../support/random.ts'
import { inFolder } from './folders.ts'
import { within } from './side-by-side.ts'
import type { Verdict } from './tally.ts'

/** A whole pairing of two devices of the SDK, from the code to the goodbye, and its outcome. */

export type Side = 'sender' | 'receiver'
export type Command = 'register' | 'join' | 'decide' | 'end receiver' | 'close' | 'other'

/** Visible steps of a pairing, by which a fault is timed. */
export type Happening =
  /** A command leaves, or its answer is there. */
  | { readonly what: 'asks' | 'is answered'; readonly side: Side; readonly command: Command }
  /** A data frame leaves, or is there. */
  | { readonly what: 'sends' | 'gets'; readonly side: Side; readonly seq: number }
  /** The receiver has verified everything; its file gets its name and the receipt leaves after this. */
  | { readonly what: 'has everything' }
  /** The sender's `send` has resolved. */
  | { readonly what: 'delivered' }

export interface PairingOptions {
  /** The address of the relay, as each device knows it. */
  readonly relays: Readonly<Record<Side, string>>
  readonly payload: Uint8Array
  readonly random: Random
  readonly ttlSeconds: number
  /** After which a side that has not ended is silent. */
  readonly limitMs: number
  /** Called before what happens continues. */
  readonly onHappening?: (happening: Happening) => void
  /** Told of the session's id and time, as the relay gave them. */
  readonly onSession?: ((sessionId: string, expiresInMs: number) => void) | undefined
  /** The payload as a source, where a test wants to hold it back. */
  readonly source?: Source
}

type End =
  | { readonly kind: 'done' }
  | { readonly kind: 'error'; readonly code: PairingErrorCode }
  | { readonly kind: 'not begun' }
  | { readonly kind: 'silent' }
  | { readonly kind: 'fault'; readonly text: string }

interface Ends {
  readonly sender: End
  readonly receiver: End
  readonly offers: number
  readonly approvals: number
  readonly bytes: number
  readonly file: 'right' | 'wrong' | 'none'
  readonly leftovers: readonly string[]
}

const NAME = 'payload'

/** Runs it to its end, within the limit. Nothing is left of it: no socket, no timer, no file. */
export async function runPairing(options: PairingOptions): Promise<Verdict> {
  return inFolder(async (folder) => judge(await new Pairing(options, folder).run(), options.payload.length))
}

class Pairing {
  readonly #options: PairingOptions
  readonly #folder: string
  readonly #stop = new AbortController()
  #worlds: Record<Side, DeviceWorld> | undefined
  #offers = 0
  #approvals = 0
  #bytes = 0

  constructor(options: PairingOptions, folder: string) {
    this.#options = options
    this.#folder = folder
  }

  async run(): Promise<Ends> {
    this.#worlds = { sender: await DeviceWorld.create(), receiver: await DeviceWorld.create() }
    for (const side of ['sender', 'receiver'] as const) this.#watch(side, this.#worlds[side])
    let tell: (code: string | undefined) => void = () => {}
    const code = new Promise<string | undefined>((resolve) => {
      tell = resolve
    })
    const sending = endOf(this.#send(tell)).finally(() => tell(undefined))
    const receiving = code.then((text): End | Promise<End> =>
      text === undefined ? { kind: 'not begun' } : endOf(this.#receive(text)),
    )
    const [sender, receiver] = await this.#bounded(sending, receiving)
    return {
      sender,
      receiver,
      offers: this.#offers,
      approvals: this.#approvals,
      bytes: this.#bytes,
      file: await this.#file(),
      leftovers: await this.#leftovers(),
    }
  }

  async #send(tell: (code: string) => void): Promise<End> {
    const { relays, ttlSeconds, payload, source = bytesSource(payload, NAME) } = this.#options
    const sender = await Sender.open({
      relay: relays.sender,
      ttlSeconds,
      signal: this.#stop.signal,
      environment: this.#environmentOf('sender'),
    })
    try {
      tell(sender.code)
      // Typed: a join whose answer was cut off leaves a device behind that proves nothing.
      for await (const request of sender.requests()) await sender.approveNumber(request.matchNumber)
      const [receipt] = await sender.send([source])
      if (!receipt?.delivered) return { kind: 'error', code: receipt?.error.code ?? 'nobody_approved' }
      this.#happens({ what: 'delivered' })
      await sender.close()
      return { kind: 'done' }
    } finally {
      await sender.cancel()
    }
  }

  async #receive(code: string): Promise<End> {
    const receiver = await Receiver.join({
      relay: this.#options.relays.receiver,
      code,
      signal: this.#stop.signal,
      onApproved: () => {
        this.#approvals++
      },
      environment: this.#environmentOf('receiver'),
    }).catch((error: unknown) => {
      // Nobody is there for whom the sender could wait: its person ends it.
      this.#stop.abort()
      throw error
    })
    try {
      for await (const offer of receiver.offers()) await this.#save(offer)
      return { kind: 'done' }
    } finally {
      await receiver.close()
    }
  }

  /** As the command line does it: under a temporary name until everything was verified. */
  async #save(offer: Offer): Promise<void> {
    this.#offers++
    const folder = new PartialFolder({ directory: this.#folder })
    const finish = () => this.#happens({ what: 'has everything' })
    await save(offer, watched(folder, finish), {
      onProgress: ({ bytes }) => {
        this.#bytes = bytes
      },
    })
  }

  async #bounded(...sides: readonly Promise<End>[]): Promise<End[]> {
    const silent: End = { kind: 'silent' }
    const ends = sides.map((side) => within(this.#options.limitMs, 'the end', side).catch(() => silent))
    return Promise.all(ends).finally(() => this.#stop.abort())
  }

  async #file(): Promise<Ends['file']> {
    const saved = await readFile(join(this.#folder, NAME)).catch(() => undefined)
    if (!saved) return 'none'
    return sha256(saved) === sha256(this.#options.payload) ? 'right' : 'wrong'
  }

  /** Returns leftovers of both devices, after a moment for closing sockets. */
  async #leftovers(): Promise<string[]> {
    const worlds = Object.entries(this.#worlds ?? {})
    const deadline = performance.now() + LEFTOVERS_MS
    for (;;) {
      const left = worlds.filter(([, world]) => JSON.stringify(world.left) !== JSON.stringify(NOTHING_LEFT_HERE))
      if (left.length === 0 || performance.now() > deadline) {
        const files = (await readdir(this.#folder)).filter((name) => name !== NAME)
        return [...left.map(([side, world]) => `${side} ${JSON.stringify(world.left)}`), ...files]
      }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  #environmentOf(side: Side) {
    const { random } = this.#options
    return { ...this.#worlds?.[side].environment, jitter: () => random.below(1_000_000) / 1_000_000 }
  }

  #watch(side: Side, world: DeviceWorld): void {
    const watch = (what: 'sends' | 'gets') => (data: string | Uint8Array) => {
      const frame = typeof data === 'string' ? undefined : decodeFrame(data)
      if (frame?.type === FRAME_DATA) this.#happens({ what, side, seq: frame.seq })
      return data
    }
    world.hooks.outgoing = watch('sends')
    world.hooks.incoming = watch('gets')
    world.onFetch = async (send, url, { method = 'GET' }) => {
      const command = commandOf(method, new URL(url).pathname)
      this.#happens({ what: 'asks', side, command })
      const answer = await send()
      if (command === 'register') await tellSession(answer, this.#options.onSession)
      this.#happens({ what: 'is answered', side, command })
      return answer
    }
  }

  #happens(happening: Happening): void {
    this.#options.onHappening?.(happening)
  }
}

/** Tells of the session that the relay has made, if it has. */
export async function tellSession(answer: Response, onSession: PairingOptions['onSession']): Promise<void> {
  if (answer.status !== 201 || !onSession) return
  const { sessionId, expiresInMs } = (await answer.clone().json()) as { sessionId: string; expiresInMs: number }
  onSession(sessionId, expiresInMs)
}

/** How long sockets may take to close. */
const LEFTOVERS_MS = 3_000

function commandOf(method: string, path: string): Command {
  if (method === 'POST' && path.endsWith('/v1/sessions')) return 'register'
  if (method === 'POST' && path.endsWith('/v1/receivers')) return 'join'
  if (method === 'PUT' && path.endsWith('/decision')) return 'decide'
  if (method === 'DELETE' && path.includes('/receivers/')) return 'end receiver'
  if (method === 'DELETE' && /\/sessions\/[^/]+$/.test(path)) return 'close'
  return 'other'
}

async function endOf(side: Promise<End>): Promise<End> {
  try {
    return await side
  } catch (error) {
    if (error instanceof PairingError) return { kind: 'error', code: error.code }
    return { kind: 'fault', text: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

function judge(ends: Ends, size: number): Verdict {
  const { sender, receiver, offers, approvals, bytes, file, leftovers } = ends
  const why = `sender ${inWords(sender)}, receiver ${inWords(receiver)}`
  const lost = (what: string): Verdict => ({ fate: 'lost', why: `${what} (${why})` })
  if (offers > 1 || approvals > 1 || bytes > size) {
    return { fate: 'duplicated', why: `${offers} offers, ${approvals} approvals, ${bytes} of ${size} bytes` }
  }
  for (const end of [sender, receiver]) {
    if (end.kind === 'silent') return lost('silence')
    if (end.kind === 'fault') return lost('an error of no type')
  }
  if (file === 'wrong') return lost('a file that is not what was sent')
  if (file === 'none' && (sender.kind === 'done' || receiver.kind === 'done')) return lost('delivered and not there')
  if (leftovers.length > 0) return lost(`left behind: ${leftovers.join(', ')}`)
  return { fate: sender.kind === 'done' && receiver.kind === 'done' ? 'survived' : 'clean error', why }
}

function inWords(end: End): string {
  return end.kind === 'error' ? end.code : end.kind === 'fault' ? end.text : end.kind
}

/** The same store, which tells when everything of an offer is there. */
function watched(folder: Partials, onWhole: () => void): Partials {
  return {
    tokens: () => folder.tokens(),
    open: async (token, entries) => {
      const partial = await folder.open(token, entries)
      return {
        have: partial.have,
        read: (entry, bytes) => partial.read(entry, bytes),
        write: (entry, offset, pieces) => partial.write(entry, offset, pieces),
        leave: () => partial.leave(),
        finish: async (skipped) => {
          onWhole()
          await partial.finish(skipped)
        },
      }
    },
  }
}
