import {
  bytesSource,
  type Offer,
  PairingError,
  type PairingErrorCode,
  type PairingRequest,
  type Receiver,
  type Sender,
  type Source,
} from '../../../src/client/index.ts'

/** The two people: they compare numbers as they are told to, and want to hand something over. */

interface Task {
  readonly transfers: readonly (readonly Uint8Array[])[]
  /** Rows that were there before. */
  readonly rehearsals: number
  readonly approves: boolean
  /** Paths are as long as they may be. */
  readonly longNames: boolean
}

export class SendingPerson {
  readonly rows: string[] = []
  /** Faults that this person saw. */
  readonly faults: string[] = []
  delivered = 0
  /** Nothing more will be done. */
  done = false
  /** Hashes cost no time here: the devices are not measured. */
  busy = false
  /** True once it said goodbye. */
  said = false
  beforeGoodbye: () => Promise<void> = async () => {}
  readonly #sender: Sender
  readonly #shown: Promise<string | undefined>
  readonly #task: Task
  #rehearsals: number
  #names: PairingErrorCode | 'delivered' | undefined

  /** `shown`: what the other device shows, if it ever does. */
  constructor(sender: Sender, shown: Promise<string | undefined>, task: Task) {
    this.#sender = sender
    this.#shown = shown
    this.#task = task
    this.#rehearsals = task.rehearsals
  }

  get names(): PairingErrorCode | 'delivered' | 'waits' {
    const { wrongCode, timedOut, invalid } = this.#sender.failedAttempts
    if (this.#names) return this.#names
    if (wrongCode > 0) return 'wrong_code'
    return invalid > 0 ? 'peer_misbehaved' : timedOut > 0 ? 'handshake_timeout' : 'waits'
  }

  async act(): Promise<void> {
    try {
      for await (const request of this.#sender.requests()) {
        if (this.#rehearsals-- > 0) continue
        this.rows.push(request.matchNumber)
        if ((await this.#shown) === request.matchNumber) await this.#handOver(request)
      }
    } catch (error) {
      this.#names ??= codeOf(error)
    } finally {
      this.done = true
    }
  }

  async #handOver(request: PairingRequest): Promise<void> {
    // Devices that left by now still know the code.
    const known = this.#task.rehearsals + this.rows.length
    const { verifiedCount } = this.#sender
    if (verifiedCount !== known) this.faults.push(`${verifiedCount} rows instead of ${known}`)
    if (!this.#task.approves) {
      await this.#sender.send([bytesSource(new Uint8Array(1), 'a file for nobody')])
    } else if (known > 1) {
      // Two devices know the code: one tap must not do.
      const tapped = await request.approve().then(() => 'approved', codeOf)
      if (tapped !== 'typing_required') this.faults.push(`one tap, and it was ${tapped}`)
      await this.#sender.approveNumber(request.matchNumber)
    } else await request.approve()
    for (const items of this.#task.transfers) {
      const [receipt] = await this.#sender.send(items.map((bytes, i) => this.#source(bytes, `item ${i}`)))
      if (!receipt.delivered) {
        this.#names = receipt.error.code
        return
      }
      this.delivered++
    }
    this.#names = 'delivered'
    this.busy = true
    this.said = true
    await this.beforeGoodbye()
    this.busy = false
    await this.#sender.close()
  }

  #source(bytes: Uint8Array, name: string): Source {
    return bytesSource(bytes, this.#task.longNames ? `${name}/${`${'x'.repeat(254)}/`.repeat(15)}x` : name)
  }
}

export class ReceivingPerson {
  /** The match number, or undefined when none will be shown. */
  readonly shown: Promise<string | undefined>
  number: string | undefined
  readonly received: Uint8Array[][] = []
  complete = 0
  done = false
  /** Loads the module first that the SDK loads before it asks the relay. */
  busy = true
  #names: PairingErrorCode | 'complete' | undefined
  #receiver: Receiver | undefined
  #show: (number: string | undefined) => void = () => {}

  constructor() {
    this.shown = new Promise((resolve) => {
      this.#show = resolve
    })
  }

  get names(): PairingErrorCode | 'complete' | 'waits' {
    return this.#names ?? 'waits'
  }

  async act(join: () => Promise<Receiver>): Promise<void> {
    try {
      const receiver = await join()
      this.#receiver = receiver
      this.number = await receiver.verified
      this.#show(this.number)
      for await (const offer of receiver.offers()) await this.#take(offer)
      this.#names = 'complete'
    } catch (error) {
      this.#names = codeOf(error)
    } finally {
      this.#show(undefined)
      this.busy = false
      this.done = true
    }
  }

  async #take(offer: Offer): Promise<void> {
    const items: Uint8Array[] = []
    this.received.push(items)
    for await (const { stream } of offer.accept()) {
      const at = items.push(new Uint8Array()) - 1
      for await (const piece of stream) items[at] = Buffer.concat([items[at], piece])
    }
    this.complete++
  }

  /** Gives up. */
  async leave(): Promise<void> {
    await this.#receiver?.close()
  }
}

/** The code of an error of the SDK. Anything else is a bug, and thrown on. */
function codeOf(error: unknown): PairingErrorCode {
  if (error instanceof PairingError) return error.code
  throw error
}
