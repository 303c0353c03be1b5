import {
  blobSource,
  bytesSource,
  type PairedDevice,
  type PairingError,
  type PairingRequest,
  Receiver,
  Sender,
  type Source,
} from '../../client/index.ts'
import { choicesFor, randomBelow } from './choices.ts'
import { codeOf } from './failure.ts'
import { Incoming, TEXT_TYPE } from './incoming.ts'
import { Meter } from './meter.ts'
import { type Event, type Item, next, START, type State } from './state.ts'

/** How long a sender may be away before it is said, in milliseconds. */
const AWAY_MS = 5_000
const LOOK_MS = 1_000

/** What the page does: it holds the SDK's objects, and tells the state what happens to them. */
export class Controller {
  state: State = START
  /** Takes what comes. */
  readonly incoming: Incoming
  readonly #relay: string
  readonly #deviceName: string
  readonly #changed: (state: State) => void
  readonly #sources = new Map<number, Source>()
  readonly #requests = new Map<number, PairingRequest>()
  readonly #devices = new Map<number, PairedDevice>()
  readonly #stops = new Map<number, AbortController>()
  #sender: Sender | undefined
  #receiver: Receiver | undefined
  #ids = 0

  /** `relay` is the page's own directory. `changed` is called after each event. */
  constructor(relay: string, deviceName: string, changed: (state: State) => void) {
    this.#relay = relay
    this.#deviceName = deviceName
    this.#changed = changed
    this.incoming = new Incoming((event) => this.tell(event))
  }

  /** Tells the state. */
  tell(event: Event): void {
    this.state = next(this.state, event)
    this.#changed(this.state)
  }

  /** Adds files, each looked at: one that cannot be read is named and left out. Paired, they are sent at once. */
  async addFiles(files: readonly { readonly file: File; readonly path: string }[]): Promise<void> {
    const items: Item[] = []
    let unreadable: string | undefined
    for (const { file, path } of files) {
      try {
        await file.slice(0, 1).arrayBuffer()
        items.push(this.#item(blobSource(file, path), path, file.size, false))
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

  /** Registers a code, and waits for devices. */
  async getCode(): Promise<void> {
    this.tell({ is: 'opening' })
    try {
      const tellStrangers = () => {
        const { wrongCode = 0 } = this.#sender?.failedAttempts ?? {}
        this.tell({ is: 'strangers', wrongCodes: wrongCode, unproven: this.#sender?.waitingUnproven ?? 0 })
      }
      const sender = await Sender.open({
        relay: this.#relay,
        receivers: this.state.wanted,
        takes: { offers: true },
        onFailedAttempt: tellStrangers,
        onWaiting: tellStrangers,
        onUsedUp: () => this.tell({ is: 'used_up' }),
        ...this.#connectionListeners(),
      })
      this.#sender = sender
      const { code, link, expiresInMs } = sender
      this.tell({
        is: 'opened',
        pairing: { code, link, goodUntil: performance.now() + expiresInMs, isFollowed: false, isRenewed: false },
      })
      await this.#hearRequests(sender)
    } catch (error) {
      this.#end(error, 'sender')
    }
  }

  async #hearRequests(sender: Sender): Promise<void> {
    for await (const request of sender.requests()) {
      const id = ++this.#ids
      this.#requests.set(id, request)
      const { matchNumber: number, name } = request
      const taken = [...this.#requests.values()].map((each) => each.matchNumber)
      const question = { id, name, number, choices: choicesFor(number, taken, randomBelow) }
      this.tell({ is: 'question', question, mustType: sender.typingRequired })
      void request.ended.then(() => this.tell({ is: 'question_gone', question: id }))
    }
  }

  /** The person chose a number for the one question that there is. */
  async choose(question: number, number: string): Promise<void> {
    const request = this.#requests.get(question)
    if (request?.matchNumber !== number) return this.tell({ is: 'chosen_wrong' })
    await this.#admit(question, request.name, () => request.approve())
  }

  /** The person typed a number. */
  async type(digits: string): Promise<void> {
    const sender = this.#sender
    const plain = digits.replaceAll(/\D/g, '')
    const [question = 0, request] = [...this.#requests].find(([, each]) => each.matchNumber === plain) ?? []
    if (!sender || !request) return this.tell({ is: 'typed_unknown' })
    await this.#admit(question, request.name, () => sender.approveNumber(plain))
  }

  async #admit(question: number, name: string | undefined, approve: () => Promise<PairedDevice>): Promise<void> {
    try {
      const device = await approve()
      this.#requests.delete(question)
      this.#take(device, name, question)
    } catch (error) {
      if (codeOf(error) === 'typing_required') this.tell({ is: 'chosen_wrong' })
      else this.#end(error, 'sender')
    }
  }

  /** Nobody who waits gets anything, and the code ends. */
  async deny(): Promise<void> {
    for (const request of this.#requests.values()) await request.deny().catch(() => {})
    await this.#sender?.cancel()
    this.tell({ is: 'ended', code: 'nobody_approved', role: 'sender' })
  }

  /** Goes on with the devices that are in. */
  goOn(): void {
    this.tell({ is: 'connect' })
    this.#sendIfPaired()
  }

  /** Enters a code. */
  async join(code: string): Promise<void> {
    this.tell({ is: 'joining' })
    try {
      const options = { relay: this.#relay, code, name: this.#deviceName, takes: { offers: true } }
      const receiver = await Receiver.join({ ...options, ...this.#connectionListeners() })
      this.#receiver = receiver
      this.tell({ is: 'verified', number: await receiver.verified })
      const watching = setInterval(() => this.#watchSender(receiver), LOOK_MS)
      try {
        this.#take(await receiver.approved, undefined)
      } finally {
        clearInterval(watching)
      }
    } catch (error) {
      this.#end(error, 'receiver')
    }
  }

  #awaySince: number | undefined

  #watchSender({ senderPresent }: Receiver): void {
    this.#awaySince = senderPresent ? undefined : (this.#awaySince ?? performance.now())
    const away = this.#awaySince !== undefined && performance.now() - this.#awaySince >= AWAY_MS
    if (away !== this.state.joining?.isSenderAway) this.tell({ is: 'sender_presence', away })
  }

  /** A device is paired: its offers are heard until it leaves. */
  #take(device: PairedDevice, name: string | undefined, question?: number): void {
    const id = ++this.#ids
    this.#devices.set(id, device)
    const peer = { id, name: device.name ?? name, number: device.matchNumber, isAway: false, hasLeft: false }
    this.tell({ is: 'paired', peer, ...(question === undefined ? {} : { question }) })
    const watching = setInterval(() => {
      const change = { isAway: !device.present, name: device.name ?? name }
      const known = this.state.peers.find((each) => each.id === id)
      if (known?.isAway !== change.isAway || known.name !== change.name) this.tell({ is: 'peer', peer: id, change })
    }, LOOK_MS)
    void device.ended.then((error) => {
      clearInterval(watching)
      this.#devices.delete(id)
      this.tell({ is: 'peer', peer: id, change: { hasLeft: true, isAway: false } })
      if (this.#devices.size === 0 && error && this.state.screen.is === 'connected') this.#onLastLeft(error)
    })
    void this.#hearOffers(id, device)
    if (this.state.screen.is === 'connected') this.#sendIfPaired()
  }

  #onLastLeft(error: PairingError): void {
    const isEverythingThere = this.state.transfers.every(({ stage }) =>
      ['delivered', 'received', 'text', 'declined', 'withdrawn'].includes(stage.is),
    )
    if (!isEverythingThere) this.#end(error, this.#receiver ? 'receiver' : 'sender')
  }

  async #hearOffers(peer: number, device: PairedDevice): Promise<void> {
    try {
      for await (const offer of device.offers()) void this.incoming.hear(++this.#ids, peer, offer)
    } catch {
      // What ended the pairing is told by `ended`.
    }
  }

  /** Stops a transfer, either way. The devices stay paired. */
  stop(transfer: number): void {
    this.#stops.get(transfer)?.abort()
    this.incoming.stop(transfer)
  }

  #sendIfPaired(): void {
    const { items, screen } = this.state
    if (items.length === 0 || screen.is !== 'connected') return
    const sources = items.map(({ id }) => this.#sources.get(id)).filter((source) => source !== undefined)
    for (const [peer, device] of this.#devices) void this.#send(peer, device, items, sources)
  }

  async #send(peer: number, device: PairedDevice, items: readonly Item[], sources: readonly Source[]): Promise<void> {
    const transfer = ++this.#ids
    const bytes = items.reduce((sum, item) => sum + item.bytes, 0)
    const names = items.slice(0, 3).map(({ name }) => name)
    const isText = items.length === 1 && items[0]?.isText === true
    this.tell({
      is: 'transfer',
      transfer: { id: transfer, peer, way: 'out', names, count: items.length, bytes, isText, stage: { is: 'offered' } },
    })
    const stop = new AbortController()
    this.#stops.set(transfer, stop)
    const meter = new Meter()
    const running = (done: number) => {
      const stage = { is: 'running', done, perSecond: meter.rate(done) } as const
      this.tell({ is: 'stage', transfer, stage })
    }
    try {
      const { bytes: delivered, ms } = await device.send(sources, {
        signal: stop.signal,
        onAnswer: running,
        onProgress: running,
      })
      this.tell({ is: 'stage', transfer, stage: { is: 'delivered', bytes: delivered, ms } })
    } catch (error) {
      this.tell({ is: 'stage', transfer, stage: { is: 'failed', code: codeOf(error) } })
    } finally {
      this.#stops.delete(transfer)
    }
  }

  /** Leaves: whatever runs is stopped, and goodbye is said. */
  async leave(): Promise<void> {
    for (const stop of this.#stops.values()) stop.abort()
    this.incoming.leave()
    const goodbyes = [...this.#devices.values()].map((device) => device.close().catch(() => {}))
    this.#devices.clear()
    const [sender, receiver] = [this.#sender, this.#receiver]
    this.#sender = this.#receiver = undefined
    this.#requests.clear()
    this.tell({ is: 'reset' })
    await Promise.race([Promise.all(goodbyes), new Promise((resolve) => setTimeout(resolve, AWAY_MS))])
    await Promise.all([sender?.cancel(), receiver?.close()])
  }

  #connectionListeners() {
    return {
      onStatus: (status: 'connected' | 'reconnecting') => this.tell({ is: 'connection', connection: status }),
      onFallback: () => this.tell({ is: 'connection', connection: 'fallback' }),
    } as const
  }

  #end(error: unknown, role: 'sender' | 'receiver'): void {
    const code = codeOf(error)
    const { sender, receiver } = { sender: this.#sender, receiver: this.#receiver }
    this.#sender = this.#receiver = undefined
    void sender?.cancel()
    void receiver?.close()
    if (this.state.screen.is === 'start') return
    this.tell(code === 'aborted' ? { is: 'reset' } : { is: 'ended', code, role })
  }
}
