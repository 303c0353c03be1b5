import { type Offer, PairingError, type PairingErrorCode, save } from '../../client/index.ts'
import { capabilities } from '../save/capabilities.ts'
import { download, forSharing, haveLikelyRead } from '../save/downloads.ts'
import { readEarlier } from '../save/earlier.ts'
import { KEPT, KeptSink } from '../save/kept.ts'
import { MemorySink } from '../save/memory.ts'
import { PickedSink, pickPlace } from '../save/picked.ts'
import type { Sink } from '../save/sink.ts'
import { type Ready, readyFiles, thingsOf } from '../save/things.ts'
import { codeOf } from './failure.ts'
import { Meter } from './meter.ts'
import { MEMORY_MAX_BYTES, MEMORY_SMALL_BYTES, type Plan, plan } from './plan.ts'
import type { Event, IncomingStage } from './state.ts'
import { TEXT_MAX_BYTES, TEXT_TYPE } from './texts.ts'

/** After these nothing of a transfer is kept: it was stopped by a person, or what is there is of no use. */
const DROPPED_AFTER: readonly PairingErrorCode[] = [
  'aborted',
  'cancelled',
  'corrupt',
  'no_space',
  'peer_misbehaved',
  'source_changed',
]

/** Reason of a stop: the person leaves the other device, and has not said that this is of no use. */
const LEFT = 'left'

/** Received things, until the person is done with them. */
interface Received {
  readonly sink: Sink
  readonly files: readonly Ready[]
  /** The same for the share sheet, where that comes first. */
  readonly shared: File[] | undefined
  /** Resolves when everything that was asked for was handed to the browser. */
  handedOver: Promise<void>
  isHandedOver: boolean
}

/** Offers of other devices, and what becomes of them here. */
export class Incoming {
  readonly #tell: (event: Event) => void
  readonly #offers = new Map<number, { readonly offer: Offer; readonly plan: Plan }>()
  readonly #stops = new Map<number, AbortController>()
  readonly #received = new Map<number, Received>()

  constructor(tell: (event: Event) => void) {
    this.#tell = tell
  }

  /** Shows an offer of a device, and hears when it is taken back. */
  async hear(id: number, peer: number, offer: Offer): Promise<void> {
    const { entries, totalBytes } = offer
    const things = thingsOf(entries)
    const chosen = await planFor(offer, things.length)
    this.#offers.set(id, { offer, plan: chosen })
    const stage: IncomingStage =
      chosen.is === 'none' ? { is: 'too_large', max: chosen.max } : { is: 'asked', plan: chosen.is }
    const names = things.slice(0, 3).map(({ name }) => name)
    const about = { names, count: things.length, bytes: totalBytes, isText: isText(offer) }
    this.#tell({ is: 'transfer', transfer: { id, peer, way: 'in', ...about, stage } })
    void offer.withdrawn.then(() => this.#offers.has(id) && this.#stage(id, { is: 'withdrawn' }))
  }

  /** Takes an offer. It has to be called within a click: a place may be asked for. */
  async accept(transfer: number): Promise<void> {
    const { offer, plan: chosen } = this.#offers.get(transfer) ?? {}
    if (!offer || !chosen || this.#stops.has(transfer)) return
    const stop = new AbortController()
    this.#stops.set(transfer, stop)
    try {
      const sink = await sinkFor(chosen, offer)
      // The person closed the window that asks for a place: the offer stays.
      if (sink) await this.#receive(transfer, offer, sink, stop.signal)
    } catch (error) {
      offer.stop('failed')
      this.#stage(transfer, { is: 'failed', code: codeOf(error), isKept: false })
    } finally {
      this.#stops.delete(transfer)
    }
  }

  async #receive(transfer: number, offer: Offer, sink: Sink, signal: AbortSignal): Promise<void> {
    const meter = new Meter((done, perSecond) => this.#stage(transfer, { is: 'running', done, perSecond }))
    this.#stage(transfer, { is: 'running', done: 0, perSecond: undefined })
    this.#offers.delete(transfer)
    try {
      await save(offer, sink, {
        signal,
        onSaving: () => {
          meter.stop()
          this.#stage(transfer, { is: 'saving' })
        },
        onChecking: (done, total) => this.#stage(transfer, { is: 'comparing', done, total }),
        onProgress: ({ bytes }) => meter.report(bytes),
      })
      await this.#hand(transfer, offer, sink)
    } catch (error) {
      meter.stop()
      const code = codeOf(error)
      const isKept = sink instanceof KeptSink && (signal.reason === LEFT || !DROPPED_AFTER.includes(code))
      if (!isKept) await sink.drop().catch(() => {})
      const max = sink instanceof MemorySink && code === 'no_space' ? { max: MEMORY_MAX_BYTES } : {}
      this.#stage(transfer, { is: 'failed', code, isKept, ...max })
    }
  }

  /** Gives it to the person: it is here, whatever happens now. */
  async #hand(transfer: number, offer: Offer, sink: Sink): Promise<void> {
    const skipped = offer.skipped.size
    if (skipped === offer.entries.length) throw new PairingError('sender_failed')
    if (sink instanceof PickedSink) return this.#stage(transfer, { is: 'saved', name: sink.name, skipped })
    const files = await sink.files()
    if (isText(offer)) return this.#stage(transfer, { is: 'text', text: (await files[0]?.blob.text()) ?? '' })
    const shared = files.length > 0 ? forSharing(files) : undefined
    this.#received.set(transfer, { sink, files, shared, handedOver: Promise.resolve(), isHandedOver: false })
    const isCopy = sink instanceof KeptSink
    this.#stage(transfer, { is: 'received', isCopy, isByHand: shared !== undefined, skipped })
    if (!shared) this.saveAgain(transfer)
  }

  decline(transfer: number, reason: 'declined' | 'no_space'): void {
    this.#offers.get(transfer)?.offer.decline(reason)
    this.#offers.delete(transfer)
    this.#stage(transfer, { is: 'declined' })
  }

  /** Stops what is being received. The devices stay paired. */
  stop(transfer: number): void {
    this.#stops.get(transfer)?.abort()
  }

  /** Hands the files to the browser's downloads. */
  saveAgain(transfer: number): void {
    const received = this.#received.get(transfer)
    if (!received) return
    received.handedOver = download(received.files).then(() => {
      received.isHandedOver = true
    })
  }

  /** Opens the share sheet. It has to be called within a click. */
  async share(transfer: number): Promise<void> {
    const received = this.#received.get(transfer)
    if (!received?.shared) return
    try {
      await navigator.share({ files: received.shared })
      received.isHandedOver = true
    } catch {
      // The person closed it, or it does not take them: the other button is there.
    }
  }

  /** Forgets what was received, once nothing can still be reading it. */
  async done(transfer: number): Promise<void> {
    const received = this.#received.get(transfer)
    if (!received) return
    this.#received.delete(transfer)
    this.#stage(transfer, { is: 'done' })
    await received.handedOver
    const { sink, files } = received
    if (sink instanceof KeptSink) {
      await sink.giveUp().catch(() => {})
      await haveLikelyRead(files.reduce((sum, { blob }) => sum + blob.size, 0))
    }
    await sink.drop()
  }

  /** Set while closing the page would lose something that is nowhere else. */
  get isUnsaved(): boolean {
    return [...this.#received.values()].some(({ sink, isHandedOver }) => sink instanceof MemorySink && !isHandedOver)
  }

  /** Ends everything that runs. What is kept stays, to go on from. */
  leave(): void {
    for (const stop of this.#stops.values()) stop.abort(LEFT)
  }

  /** Lets go of what was received when its screen goes: copies that are kept are listed from then on. */
  async release(): Promise<void> {
    const all = [...this.#received.values()]
    this.#received.clear()
    this.#offers.clear()
    await Promise.all(
      all.map(async ({ sink, handedOver }) => {
        await handedOver
        sink.release()
      }),
    )
    await this.listEarlier()
  }

  /** Tells what was received on an earlier visit. */
  async listEarlier(): Promise<void> {
    this.#tell({ is: 'earlier', earlier: await readEarlier() })
  }

  async saveEarlier(token: string): Promise<void> {
    await download(readyFiles(await KEPT.received(token)))
  }

  async deleteEarlier(token: string): Promise<void> {
    await KEPT.remove(token)
    await this.listEarlier()
  }

  #stage(transfer: number, stage: IncomingStage): void {
    this.#tell({ is: 'stage', transfer, stage })
  }
}

/** Where an offer is received. A transfer that was interrupted goes on where it is. */
async function planFor(offer: Offer, things: number): Promise<Plan> {
  const { totalBytes } = offer
  if (totalBytes !== undefined && totalBytes <= MEMORY_SMALL_BYTES) return { is: 'memory' }
  const can = await capabilities()
  if (can.room !== undefined && offer.resumes(await KEPT.tokens())) return { is: 'keep' }
  return plan(totalBytes, things, can)
}

/** Undefined when the person chose no place. */
async function sinkFor({ is }: Plan, offer: Offer): Promise<Sink | undefined> {
  if (is === 'memory') return new MemorySink()
  if (is === 'keep') return new KeptSink()
  try {
    return new PickedSink(await pickPlace(offer.entries))
  } catch (error) {
    if (Object(error).name === 'AbortError') return undefined
    throw error
  }
}

function isText({ entries, totalBytes }: Offer): boolean {
  return entries.length === 1 && entries.at(0)?.type === TEXT_TYPE && (totalBytes ?? Infinity) <= TEXT_MAX_BYTES
}
