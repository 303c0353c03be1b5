import { readFile } from 'node:fs/promises'
import { type PairedDevice, Receiver, Sender } from 'pairlay'
import { keepInStep } from '../../../examples/vault/in-step.mjs'
import { type Entry, Vault } from '../../../examples/vault/vault.mjs'
import { FakeTime } from '../../client/fake-time.ts'
import { DeviceWorld } from '../../e2e/world.ts'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { withLastTest } from '../../support/leftovers.ts'

/** Milliseconds that pass for the devices in each millisecond that a test waits. */
const STEP_MS = 50

export interface HomeOptions {
  readonly port: number
  readonly path: string
  /** Reports whether WebSockets pass. */
  readonly webSockets: boolean
}

/** A device with a vault, behind a network of its own. Its long waits end while something is waited for. */
export class Home {
  readonly path: string
  readonly proxy: CuttingProxy
  /** Edits that the person at this device was told are there. */
  readonly edits: Entry[] = []
  vault: Vault
  /** Entries that the other device has not confirmed. */
  waiting = 0
  /** Resolves with what ended the pairing. */
  ended: Promise<string> = Promise.resolve('not begun')
  /** The same, once it has. */
  end: string | undefined
  readonly #options: HomeOptions
  #time = new FakeTime()
  #world: DeviceWorld | undefined

  private constructor(options: HomeOptions, proxy: CuttingProxy, vault: Vault) {
    this.#options = options
    this.path = options.path
    this.proxy = proxy
    this.vault = vault
  }

  static async create(options: HomeOptions): Promise<Home> {
    const proxy = await CuttingProxy.start(options.port)
    withLastTest(() => proxy.close())
    return new Home(options, proxy, await Vault.open(options.path))
  }

  /** The vault as its file has it, for a device that has lost its memory. */
  async restart(): Promise<void> {
    this.vault = await Vault.open(this.path)
  }

  async edit(name: string, value: string | null): Promise<void> {
    this.edits.push(await this.vault.set(name, value))
    if (this.vault.get(name) !== (value ?? undefined)) throw new Error(`edited, and not there: ${name}`)
  }

  /** Entries in the file, by name. */
  async filed(): Promise<Map<string, Entry>> {
    const { entries } = JSON.parse(await readFile(this.path, 'utf8').catch(() => '{"entries":[]}'))
    return new Map(entries.map((entry: Entry) => [entry.name, entry]))
  }

  async environment() {
    this.#time = new FakeTime()
    this.#world = await DeviceWorld.create(this.#time)
    this.#world.webSocketsPass = this.#options.webSockets
    this.#world.jitter = 0.5
    return this.#world.environment
  }

  /** Begins to keep this vault in step with that of `other`, and looks at each confirmation. */
  begin(device: PairedDevice, other: Home): void {
    const ask: PairedDevice['ask'] = async (bytes, options) => {
      const post = await device.ask(bytes, options)
      if (options?.type === 'changes') await other.requireFiled(JSON.parse(Buffer.from(bytes).toString()))
      return post
    }
    const watched = { posts: () => device.posts(), ask } as PairedDevice
    const onWaiting = (count: number) => {
      this.waiting = count
    }
    this.waiting = Number.POSITIVE_INFINITY
    this.end = undefined
    this.ended = keepInStep(watched, this.vault, onWaiting)
      .then(() => 'goodbye')
      .catch((error) => error.code ?? error.message)
      .then((end) => (this.end = end))
  }

  /** Resolves when the other device has confirmed all that is here. Throws when the pairing ends before. */
  async inStep(): Promise<void> {
    while (this.waiting > 0) {
      if (this.end) throw new Error(`not in step: ${this.end}`)
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Throws unless these entries, or newer ones, are on the disk. */
  async requireFiled(entries: readonly Entry[]): Promise<void> {
    const filed = await this.filed()
    for (const { name, clock } of entries)
      if (!((filed.get(name)?.clock ?? 0) >= clock)) throw new Error(`confirmed, and not there: ${name}`)
  }

  /** The network is gone, and does not come back before `plug`. */
  unplug(): void {
    if (!this.#world) return
    this.#world.unplugged = true
    for (const socket of this.#world.openSockets) socket.cut()
  }

  plug(): void {
    if (this.#world) this.#world.unplugged = false
  }

  async pass(): Promise<void> {
    await this.#time.advance(STEP_MS)
  }
}

/** Pairs two homes, and begins to keep them in step. Resolves with what ends the session, from either side. */
export async function pairHomes(first: Home, second: Home): Promise<(() => Promise<void>)[]> {
  const takes = { posts: true }
  const [environment, others] = [await first.environment(), await second.environment()]
  const sender = await Sender.open({ relay: first.proxy.url, takes, environment })
  const receiver = await Receiver.join({
    relay: second.proxy.url,
    code: sender.code,
    takes,
    environment: others,
  })
  for await (const _ of sender.requests()) {
    first.begin(await sender.approveNumber(await receiver.verified), second)
    second.begin(await receiver.approved, first)
  }
  return [() => sender.cancel(), () => receiver.close()]
}
