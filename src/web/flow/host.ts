import {
  type PairedDevice,
  PairingError,
  type PairingErrorCode,
  type PairingRequest,
  Sender,
} from '../../client/index.ts'
import { TTL_MAX_SECONDS } from '../../protocol/limits.ts'
import { choicesFor, randomBelow } from './choices.ts'
import { born, type CodeLife, isFollowed, type LifeEvent, live, type Order } from './code-life.ts'
import type { Event, State } from './state.ts'

/** The life that is asked for a session: time to pair, and to send everything at this rate. */
const TTL_SECONDS = 3_600
const PAIRING_SECONDS = 900
const SLOW_BYTES_PER_SECOND = 1_000_000
const TICK_MS = 1_000

export interface HostParts {
  readonly relay: () => string
  readonly nextId: () => number
  readonly state: () => State
  readonly tell: (event: Event) => void
  /** Takes over a device that was let in. */
  readonly take: (
    device: PairedDevice,
    name: string | undefined,
    about: { readonly question: number; readonly expiresInMs: number },
  ) => void
  readonly connection: () => Pick<Parameters<typeof Sender.open>[0], 'onStatus' | 'onFallback' | 'accessToken'>
  readonly fail: (error: unknown) => void
}

interface Waiting {
  readonly request: PairingRequest
  readonly session: number
}

/** The side that shows a code: the sessions behind it, and the devices that wait to be let in. */
export class Host {
  readonly #parts: HostParts
  readonly #senders = new Map<number, Sender>()
  readonly #waiting = new Map<number, Waiting>()
  #life: CodeLife | undefined
  #clock: ReturnType<typeof setInterval> | undefined
  /** Grows with each code that is asked for by a person: what belongs to an earlier one is dropped. */
  #round = 0

  constructor(parts: HostParts) {
    this.#parts = parts
  }

  /** Registers a code, and waits for devices. */
  open(): void {
    void this.cancel()
    this.#parts.tell({ is: 'opening' })
    void this.#openFirst(this.#round)
  }

  async #openFirst(round: number): Promise<void> {
    try {
      const session = await this.#openSession(round)
      if (session === undefined) return
      this.#life = born(session, this.#senders.get(session)?.expiresInMs ?? 0, performance.now())
      this.#clock = setInterval(() => this.#live({ is: 'tick', isSeen: !document.hidden }), TICK_MS)
      this.#show()
    } catch (error) {
      if (round === this.#round) this.#parts.fail(error)
    }
  }

  async #openNext(round: number): Promise<void> {
    try {
      const session = await this.#openSession(round)
      if (session === undefined) return
      this.#live({ is: 'opened', session, expiresInMs: this.#senders.get(session)?.expiresInMs ?? 0 })
      if (this.#life?.session === session) this.#show()
    } catch {
      if (round === this.#round) this.#live({ is: 'not_opened' })
    }
  }

  /** Opens a session and hears who comes. Undefined when nobody wants it any more. */
  async #openSession(round: number): Promise<number | undefined> {
    const { relay, state, connection } = this.#parts
    const bytes = state().items.reduce((sum, item) => sum + item.bytes, 0)
    const needed = Math.ceil(PAIRING_SECONDS + bytes / SLOW_BYTES_PER_SECOND)
    const session = this.#parts.nextId()
    const sender = await Sender.open({
      relay: relay(),
      receivers: state().wanted,
      ttlSeconds: Math.min(TTL_MAX_SECONDS, Math.max(TTL_SECONDS, needed)),
      takes: { offers: true },
      onFailedAttempt: () => {
        this.#live({ is: 'tried' })
        this.#tellStrangers()
      },
      onWaiting: () => this.#tellStrangers(),
      onUsedUp: () => session === this.#life?.session && this.#parts.tell({ is: 'used_up' }),
      ...connection(),
    })
    if (round !== this.#round) {
      void sender.cancel()
      return undefined
    }
    this.#senders.set(session, sender)
    void this.#hearRequests(session, sender)
    return session
  }

  #live(event: LifeEvent): void {
    if (!this.#life) return
    const { life, orders } = live(this.#life, event, performance.now())
    this.#life = life
    for (const order of orders) this.#follow(order)
    const { pairing } = this.#parts.state()
    const now = { goodUntil: life.until, isFollowed: isFollowed(life), isRenewed: life.before !== undefined }
    const isSame = pairing?.goodUntil === now.goodUntil && pairing.isFollowed === now.isFollowed
    if (pairing && !(isSame && pairing.isRenewed === now.isRenewed)) this.#parts.tell({ is: 'life', ...now })
  }

  #follow(order: Order): void {
    switch (order.is) {
      case 'open':
        void this.#openNext(this.#round)
        return
      case 'cancel':
        void this.#senders.get(order.session)?.cancel()
        this.#senders.delete(order.session)
        return
      case 'end':
        // Devices that are in stay.
        if (this.#parts.state().peers.length === 0) this.#parts.fail(new PairingError('expired'))
        return
      default:
        order satisfies never
    }
  }

  #show(): void {
    const life = this.#life
    const sender = life && this.#senders.get(life.session)
    if (!life || !sender) return
    const { code, link } = sender
    const isRenewed = life.before !== undefined
    const shown = { code, link, goodUntil: life.until, isFollowed: isFollowed(life), isRenewed }
    this.#parts.tell({ is: 'opened', pairing: shown })
  }

  #tellStrangers(): void {
    const senders = [...this.#senders.values()]
    const sum = (of: (sender: Sender) => number) => senders.reduce((all, sender) => all + of(sender), 0)
    const wrongCodes = sum(({ failedAttempts }) => failedAttempts.wrongCode)
    this.#parts.tell({ is: 'strangers', wrongCodes, unproven: sum(({ waitingUnproven }) => waitingUnproven) })
  }

  async #hearRequests(session: number, sender: Sender): Promise<void> {
    try {
      for await (const request of sender.requests()) this.#ask(session, sender, request)
    } catch (error) {
      // The code before may end in its last minute, and nobody minds.
      const isShown = session === this.#life?.session || !this.#life
      const isPairing = this.#parts.state().screen.is !== 'connected'
      if (this.#senders.get(session) === sender && isShown && isPairing) this.#parts.fail(error)
    }
  }

  #ask(session: number, sender: Sender, request: PairingRequest): void {
    const { nextId, tell } = this.#parts
    const question = nextId()
    this.#waiting.set(question, { request, session })
    this.#live({ is: 'verified', session })
    const { matchNumber: number, name } = request
    const taken = [...this.#waiting.values()].map(({ request: each }) => each.matchNumber)
    const choices = choicesFor(number, taken, randomBelow)
    tell({ is: 'question', question: { id: question, name, number, choices }, mustType: sender.typingRequired })
    void request.ended.then(() => {
      this.#waiting.delete(question)
      tell({ is: 'question_gone', question })
    })
  }

  /** The person chose a number for the one question that there is. */
  async choose(question: number, number: string): Promise<void> {
    const request = this.#waiting.get(question)?.request
    if (!request) return
    if (request.matchNumber !== number) return this.#parts.tell({ is: 'chosen_wrong' })
    await this.#admit(question, request.name, () => request.approve())
  }

  /** The person typed a number. */
  async type(digits: string): Promise<void> {
    const plain = digits.replaceAll(/\D/g, '')
    const found = [...this.#waiting].find(([, { request }]) => request.matchNumber === plain)
    const sender = found && this.#senders.get(found[1].session)
    if (!sender) return this.#parts.tell({ is: 'typed_unknown' })
    await this.#admit(found[0], found[1].request.name, () => sender.approveNumber(plain))
  }

  async #admit(question: number, name: string | undefined, approve: () => Promise<PairedDevice>): Promise<void> {
    if (this.#parts.state().pairing?.deciding !== undefined) return
    this.#parts.tell({ is: 'deciding', question })
    try {
      const device = await approve()
      this.#waiting.delete(question)
      const expiresInMs = (this.#life?.expiresAt ?? performance.now()) - performance.now()
      this.#parts.take(device, name, { question, expiresInMs })
    } catch (error) {
      const code: PairingErrorCode = error instanceof PairingError ? error.code : 'internal'
      if (code === 'typing_required') this.#parts.tell({ is: 'must_type' })
      else if (code === 'no_such_number') this.#parts.tell({ is: 'typed_unknown' })
      else if (code === 'receiver_left') this.#parts.tell({ is: 'question_gone', question })
      else this.#parts.fail(error)
    }
  }

  /** Refuses all who wait. The code ends, and with nobody in the session too. */
  async deny(): Promise<void> {
    const all = [...this.#waiting.values()]
    this.#waiting.clear()
    clearInterval(this.#clock)
    const isNobodyIn = this.#parts.state().peers.length === 0
    if (isNobodyIn) this.#parts.tell({ is: 'ended', code: 'nobody_approved', role: 'sender' })
    await Promise.all(all.map(({ request }) => request.deny().catch(() => {})))
    if (isNobodyIn) await this.cancel()
  }

  /** Lets go of all sessions, and ends them once the goodbyes are said. */
  async cancel(said?: Promise<unknown>): Promise<void> {
    this.#round++
    clearInterval(this.#clock)
    this.#life = undefined
    this.#waiting.clear()
    const senders = [...this.#senders.values()]
    this.#senders.clear()
    await said
    await Promise.all(senders.map((sender) => sender.cancel()))
  }
}
