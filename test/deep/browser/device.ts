import type * as Pairlay from '../../../src/client/index.ts'
import { blocksOf, type Content } from './content.ts'

/** The script of the page: one device, which sends or receives once. Everything that goes in or comes out is JSON. */

export interface ItemPlan extends Content {
  readonly name: string
  readonly as: 'blob' | 'bytes' | 'stream'
}

export interface SendPlan {
  readonly relay: string
  readonly items: readonly ItemPlan[]
  /** Aborts the session's signal as soon as so many bytes have been acked. */
  readonly leaveAfterBytes?: number
}

export interface ReceivePlan {
  readonly relay: string
  readonly code: string
  /** Aborts the session's signal as soon as so many bytes have been read. */
  readonly leaveAfterBytes?: number
}

export interface Outcome {
  /** The code of its end, unless it went well. */
  readonly failure: { readonly name: string; readonly code: string | undefined; readonly message: string } | undefined
  readonly matchNumber: string | undefined
  /** Statuses that the app was told, in order. */
  readonly statuses: readonly string[]
}

export interface SendOutcome extends Outcome {
  /** Of each receiver: the bytes delivered, or the code of the error. */
  readonly receipts: readonly (number | string)[]
  readonly failedAttempts: Pairlay.FailedAttempts | undefined
  /** The most bytes of a stream that the SDK had taken and the receiver had not acked. */
  readonly heldBytes: number
  /** From the first byte taken to the receipt. */
  readonly ms: number
}

export interface ReceiveOutcome extends Outcome {
  /** Those that were read to their end. */
  readonly items: readonly { name: string; size: number | undefined; bytes: number; sha256: string }[]
}

export class Device {
  readonly #sdk: typeof Pairlay
  readonly #abort = new AbortController()
  readonly #statuses: string[] = []
  #matchNumber: string | undefined
  #sending: Promise<SendOutcome> | undefined
  #receiving: Promise<ReceiveOutcome> | undefined

  constructor(sdk: typeof Pairlay) {
    this.#sdk = sdk
  }

  /** Opens a session and resolves with its code; approves the first device that enters it, sends and says goodbye. */
  async send(plan: SendPlan): Promise<string> {
    let failedAttempts: Pairlay.FailedAttempts | undefined
    const sender = await this.#sdk.Sender.open({
      relay: plan.relay,
      signal: this.#abort.signal,
      onStatus: (status) => this.#statuses.push(status),
      onFallback: () => this.#statuses.push('over HTTP'),
      onFailedAttempt: (failed) => {
        failedAttempts = failed
      },
    })
    const receipts: (number | string)[] = []
    let takenBytes = 0
    let ackedBytes = 0
    let heldBytes = 0
    let startedAt = 0
    const onTaken = (bytes: number) => {
      startedAt ||= performance.now()
      takenBytes += bytes
      heldBytes = Math.max(heldBytes, takenBytes - ackedBytes)
    }
    const onProgress = ({ bytes }: Pairlay.SendProgress) => {
      ackedBytes = bytes
      this.#leaveAfter(plan.leaveAfterBytes, bytes)
    }
    const work = async () => {
      for await (const request of sender.requests()) {
        this.#matchNumber = request.matchNumber
        if (sender.typingRequired) await sender.approveNumber(request.matchNumber)
        else await request.approve()
        break
      }
      const sources = plan.items.map((item) => this.#sourceOf(item, onTaken))
      for (const receipt of await sender.send(sources, { onProgress })) {
        receipts.push(receipt.delivered ? receipt.bytes : receipt.error.code)
      }
      await sender.close()
    }
    this.#sending = outcomeOf(work).then((failure) => ({
      ...this.#outcome(failure),
      receipts,
      failedAttempts,
      heldBytes,
      ms: performance.now() - startedAt,
    }))
    return sender.code
  }

  /** Enters a code; accepts everything that its sender sends. */
  receive(plan: ReceivePlan): void {
    const items: { name: string; size: number | undefined; bytes: number; sha256: string }[] = []
    const onProgress = ({ bytes }: Pairlay.ReceiveProgress) => this.#leaveAfter(plan.leaveAfterBytes, bytes)
    const work = async () => {
      const receiver = await this.#sdk.Receiver.join({
        relay: plan.relay,
        code: plan.code,
        name: 'a page',
        signal: this.#abort.signal,
        onStatus: (status) => this.#statuses.push(status),
        onFallback: () => this.#statuses.push('over HTTP'),
      })
      this.#matchNumber = await receiver.verified
      for await (const offer of receiver.offers()) {
        for await (const { path: name, size, stream } of offer.accept({ onProgress })) {
          const blob = await readAll(stream)
          items.push({ name, size, bytes: blob.size, sha256: await sha256Of(blob) })
        }
      }
    }
    this.#receiving = outcomeOf(work).then((failure) => ({ ...this.#outcome(failure), items }))
  }

  sent(): Promise<SendOutcome> {
    if (!this.#sending) throw new Error('nothing was sent')
    return this.#sending
  }

  received(): Promise<ReceiveOutcome> {
    if (!this.#receiving) throw new Error('nothing was received')
    return this.#receiving
  }

  #leaveAfter(limit: number | undefined, bytes: number): void {
    if (limit !== undefined && bytes >= limit) this.#abort.abort()
  }

  #outcome(failure: Outcome['failure']): Outcome {
    return { failure, matchNumber: this.#matchNumber, statuses: this.#statuses }
  }

  #sourceOf(item: ItemPlan, onTaken: (bytes: number) => void): Pairlay.Source {
    switch (item.as) {
      case 'blob':
        return this.#sdk.blobSource(new Blob([...blocksOf(item)]), item.name)
      case 'bytes':
        return this.#sdk.bytesSource(joined(item), item.name)
      case 'stream':
        return this.#sdk.streamSource(streamOf(item, onTaken), item.name)
      default:
        return item.as satisfies never
    }
  }
}

function joined(content: Content): Uint8Array {
  const bytes = new Uint8Array(content.bytes)
  let offset = 0
  for (const block of blocksOf(content)) {
    bytes.set(block, offset)
    offset += block.length
  }
  return bytes
}

function streamOf(content: Content, onTaken: (bytes: number) => void): ReadableStream<Uint8Array> {
  const blocks = blocksOf(content)
  const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    const { done, value } = blocks.next()
    if (done) return controller.close()
    onTaken(value.length)
    controller.enqueue(value)
  }
  return new ReadableStream({ pull }, { highWaterMark: 0 })
}

/** A stream to its end. A `Response` would do it too, but in Chromium its error hides the one of the stream. */
async function readAll(stream: ReadableStream<Uint8Array>): Promise<Blob> {
  const reader = stream.getReader()
  const pieces: BlobPart[] = []
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return new Blob(pieces)
    pieces.push(new Uint8Array(value))
  }
}

async function sha256Of(blob: Blob): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

async function outcomeOf(work: () => Promise<void>): Promise<Outcome['failure']> {
  try {
    await work()
    return undefined
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const { name, message } = error
    return { name, code: 'code' in error ? String(error.code) : undefined, message }
  }
}

declare global {
  /** The page's one device. */
  var device: Device
}
