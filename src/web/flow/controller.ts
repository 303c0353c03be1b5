import { BrowserTransfers, keptTokens } from '../../browser/index.ts'
import { blobSource, bytesSource, type Offer, type PairedDevice, type Source } from '../../client/index.ts'
import { sides } from '../late.ts'
import { DISK } from '../save/disk.ts'
import { AWAY_MS, absence } from './absence.ts'
import { codeOf } from './failure.ts'
import type { Host, HostParts } from './host.ts'
import type { Incoming } from './incoming.ts'
import { next } from './next.ts'
import { Outgoing } from './outgoing.ts'
import { type Connection, type Event, type Item, START, type State } from './state.ts'
import { TEXT_TYPE } from './texts.ts'

/** From so many bytes on, a transfer that was cut goes on when the same is sent again. */
const KEPT_FROM_BYTES = 1_048_576
const LOOK_MS = 1_000

/** Hands of the page: it holds the SDK's objects, and tells the state what happens to them. */
export class Controller {
  state: State = START
  /** Takes what comes. Undefined before the first pairing, unless something is left of an earlier visit. */
  incoming: Incoming | undefined
  /** Password for a relay that opens sessions for those alone who have one. It is kept nowhere else. */
  accessToken: string | undefined
  readonly #relay: () => string
  readonly #deviceName: string
  readonly #changed: (state: State) => void
  readonly #sources = new Map<number, Source>()
  readonly #devices = new Map<number, PairedDevice>()
  readonly #outgoing: Outgoing
  /** Side that shows a code; undefined before the first. */
  #host: Host | undefined
  /** Ends the joining under way, and the session after it. */
  #joining = new AbortController()
  #draft = ''
  #ids = 0

  /** `relay` is the page's own directory. `changed` is called after each event. */
  constructor(relay: () => string, deviceName: string, changed: (state: State) => void) {
    this.#relay = relay
    this.#deviceName = deviceName
    this.#changed = changed
    this.#outgoing = new Outgoing((event) => this.tell(event), new BrowserTransfers(DISK))
  }

  /** Tells the state. */
  tell(event: Event): void {
    const before = this.state.transfers
    this.state = next(this.state, event)
    this.#changed(this.state)
    if (['chosen', 'text', 'enter', 'scan'].includes(this.state.screen.is)) void sides().catch(() => {})
    if (before.length > 0 && this.state.transfers.length === 0) void this.incoming?.release()
  }

  /** Adds files, each looked at: one that cannot be read is named and left out. Paired, they are sent at once. */
  async addFiles(files: readonly { readonly file: File; readonly path: string }[]): Promise<void> {
    const items: Item[] = []
    let unreadable: string | undefined
    for (const { file, path } of files) {
      try {
        await file.slice(0, 1).arrayBuffer()
        // A page knows no folder that a file is in: its size stands beside its name, and its content is compared.
        const source = { ...blobSource(file, path), key: `${file.size} ${path}` }
        items.push(this.#item(source, path, file.size, false))
      } catch {
        unreadable = path
      }
    }
    this.tell({ is: 'items', items, unreadable })
    this.#sendIfPaired()
  }

  addText(text: string, name: string): void {
    const bytes = new TextEncoder().encode(text)
    this.tell({ is: 'items', items: [this.#item(bytesSource(bytes, name, TEXT_TYPE), name, bytes.length, true)] })
    this.#sendIfPaired()
  }

  #item(source: Source, name: string, bytes: number, isText: boolean): Item {
    const id = ++this.#ids
    this.#sources.set(id, source)
    return { id, name, bytes, isText }
  }

  /** Opens the field for a text, with something in it. */
  write(draft: string): void {
    this.#draft = draft
    this.tell({ is: 'write' })
  }

  /** Hands out, once, what the field for a text begins with. */
  takeDraft(): string {
    const draft = this.#draft
    this.#draft = ''
    return draft
  }

  /** Registers a code, and waits for devices. */
  getCode(): void {
    this.tell({ is: 'opening' })
    void this.#receiving().catch(() => {})
    void this.#open()
  }

  async #open(): Promise<void> {
    try {
      const { Host } = await sides()
      this.#host ??= new Host(this.#hostParts())
      // The person may have gone back meanwhile.
      if (this.state.screen.is === 'opening') this.#host.open()
    } catch (error) {
      this.#end(error, 'sender')
    }
  }

  #hostParts(): HostParts {
    return {
      relay: this.#relay,
      nextId: () => ++this.#ids,
      state: () => this.state,
      tell: (event) => this.tell(event),
      take: (device, name, about) => this.#take(device, name, about),
      connection: () => ({ ...this.#connectionListeners(), accessToken: this.accessToken }),
      // Devices that are in stay.
      fail: (error) => (this.#devices.size > 0 ? this.goOn() : this.#end(error, 'sender')),
    }
  }

  /** The person chose a number for the one question that there is. */
  async choose(question: number, number: string): Promise<void> {
    await this.#host?.choose(question, number)
  }

  /** The person typed a number. */
  async type(digits: string): Promise<void> {
    await this.#host?.type(digits)
  }

  /** Nobody who waits gets anything, and the code ends. Devices that are in stay. */
  async deny(): Promise<void> {
    await this.#host?.deny()
    if (this.state.peers.length > 0) this.goOn()
  }

  /** Goes on with the devices that are in. */
  goOn(): void {
    this.tell({ is: 'connect' })
    this.#sendIfPaired()
  }

  /** Enters a code. */
  async join(code: string): Promise<void> {
    this.tell({ is: 'joining' })
    void this.#receiving().catch(() => {})
    this.#joining = new AbortController()
    const { signal } = this.#joining
    try {
      const options = { relay: this.#relay(), code, name: this.#deviceName, takes: { offers: true }, signal }
      const { Receiver } = await sides()
      if (signal.aborted) return
      const receiver = await Receiver.join({ ...options, ...this.#connectionListeners() })
      this.tell({ is: 'verified', number: await receiver.verified })
      const isAway = absence()
      const watching = setInterval(() => {
        const away = isAway(receiver.senderPresent)
        if (away !== this.state.joining?.isSenderAway) this.tell({ is: 'sender_presence', away })
      }, LOOK_MS)
      try {
        this.#take(await receiver.approved, undefined, { expiresInMs: receiver.expiresInMs })
      } finally {
        clearInterval(watching)
      }
    } catch (error) {
      if (!signal.aborted) this.#end(error, 'receiver')
    }
  }

  /** A device is paired: its offers are heard until it leaves. */
  #take(
    device: PairedDevice,
    name: string | undefined,
    { question, expiresInMs }: { readonly question?: number; readonly expiresInMs: number },
  ): void {
    const id = ++this.#ids
    this.#devices.set(id, device)
    const peer = { id, name: device.name ?? name, number: device.matchNumber, isAway: false, hasLeft: false }
    const sessionUntil = Date.now() + expiresInMs
    this.tell({ is: 'paired', peer, sessionUntil, ...(question === undefined ? {} : { question }) })
    if (!this.state.peers.includes(peer)) {
      // The person has left meanwhile.
      this.#devices.delete(id)
      void device.close().catch(() => {})
      return
    }
    const isAway = absence()
    const watching = setInterval(() => {
      const change = { isAway: isAway(device.present), name: device.name ?? name }
      const known = this.state.peers.find((each) => each.id === id)
      if (known?.isAway !== change.isAway || known.name !== change.name) this.tell({ is: 'peer', peer: id, change })
    }, LOOK_MS)
    void device.ended.then((error) => {
      clearInterval(watching)
      this.#devices.delete(id)
      this.tell({ is: 'peer', peer: id, change: { hasLeft: true, isAway: false } })
      if (this.#devices.size === 0 && error && this.state.screen.is === 'connected') this.#end(error, 'sender')
    })
    void this.#hearOffers(id, device)
    if (this.state.screen.is === 'connected') this.#sendIfPaired()
  }

  async #hearOffers(peer: number, device: PairedDevice): Promise<void> {
    try {
      for await (const offer of device.offers()) void this.#hear(peer, offer)
    } catch {
      // `ended` tells what ended the pairing.
    }
  }

  async #hear(peer: number, offer: Offer): Promise<void> {
    try {
      await (await this.#receiving()).hear(++this.#ids, peer, offer)
    } catch {
      offer.decline('declined')
    }
  }

  /** Brings what is needed to take something: nobody waits for it on the first screen. */
  async #receiving(): Promise<Incoming> {
    const { Incoming } = await sides()
    this.incoming ??= new Incoming((event) => this.tell(event))
    return this.incoming
  }

  /** Tells what was received on an earlier visit. */
  async listEarlier(): Promise<void> {
    const isSomethingThere = (await keptTokens()).length > 0
    if (isSomethingThere) await (await this.#receiving()).listEarlier()
  }

  /** Stops a transfer, either way. The devices stay paired. */
  stop(transfer: number): void {
    this.#outgoing.stop(transfer)
    this.incoming?.stop(transfer)
  }

  #sendIfPaired(): void {
    const { items, screen } = this.state
    if (items.length === 0 || screen.is !== 'connected' || this.#devices.size === 0) return
    const isKept = items.reduce((sum, { bytes }) => sum + bytes, 0) >= KEPT_FROM_BYTES
    const sources = items.flatMap(({ id }) => this.#sources.get(id) ?? [])
    const batch = { id: ++this.#ids, items, sources: isKept ? sources : sources.map(withoutKey) }
    this.#sources.clear()
    for (const [peer, device] of this.#devices) void this.#outgoing.send(++this.#ids, peer, device, batch)
  }

  /** Leaves: whatever runs is stopped, and goodbye is said. */
  async leave(): Promise<void> {
    this.#outgoing.leave()
    this.incoming?.leave()
    const goodbyes = [...this.#devices.values()].map((device) => device.close().catch(() => {}))
    this.#devices.clear()
    const joining = this.#joining
    this.tell({ is: 'reset' })
    const said = Promise.race([Promise.all(goodbyes), new Promise((resolve) => setTimeout(resolve, AWAY_MS))])
    await (this.#host?.cancel(said) ?? said)
    joining.abort()
  }

  /** Hears of the connections of one session. Over HTTP it stays said that no WebSocket passes. */
  #connectionListeners() {
    let isFallback = false
    const tell = (connection: Connection) => this.tell({ is: 'connection', connection })
    return {
      onStatus: (status: 'connected' | 'reconnecting') =>
        tell(isFallback && status === 'connected' ? 'fallback' : status),
      onFallback: () => {
        isFallback = true
        tell('fallback')
      },
    }
  }

  #end(error: unknown, role: 'sender' | 'receiver'): void {
    const code = codeOf(error)
    void this.#host?.cancel()
    this.#joining.abort()
    if (this.state.screen.is === 'start') return
    this.tell(code === 'aborted' ? { is: 'reset' } : { is: 'ended', code, role })
  }
}

function withoutKey({ key: _, ...source }: Source): Source {
  return source
}
