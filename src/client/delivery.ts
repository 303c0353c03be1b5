import * as z from 'zod/mini'
import { PairingError } from './errors.ts'
import type { SenderRun } from './sender-run.ts'
import { exactly, type Source } from './source.ts'
import { totalOf } from './transfer.ts'

/** What became of a transfer at one receiver. `delivered` rests on the receiver's own word, end to end. */
export type Receipt = { readonly receiverCode: string; readonly matchNumber: string } & (
  | { readonly delivered: true; readonly bytes: number }
  | { readonly delivered: false; readonly error: PairingError }
)

export interface SendProgress {
  readonly receiverCode: string
  readonly matchNumber: string
  /** Item bytes that the receiver has acked. */
  readonly bytes: number
  /** All item bytes, or undefined for a pipe. */
  readonly totalBytes: number | undefined
}

const ReceiptMessage = z.object({ message: z.int().check(z.nonnegative()), bytes: z.int().check(z.nonnegative()) })

/**
 * Sends one transfer, whose header is `encodeHeader(sources)`, to one receiver and waits for its receipt. Throws what
 * ends it; the run cannot go on then.
 */
export async function deliver(
  run: SenderRun,
  header: Uint8Array,
  sources: readonly Source[],
  onProgress: ((progress: SendProgress) => void) | undefined,
): Promise<number> {
  const { receiverCode, matchNumber, channel, writer } = run
  const totalBytes = totalOf(sources)
  const index = writer.nextIndex
  const sent: { seq: number; bytes: number }[] = []
  channel.onAcked = (acked) => {
    let bytes: number | undefined
    while (sent[0] && sent[0].seq <= acked) bytes = sent.shift()?.bytes
    if (bytes !== undefined) onProgress?.({ receiverCode, matchNumber, bytes, totalBytes })
  }
  let plaintextBytes = 0
  async function* pieces() {
    yield header
    for (const source of sources) yield* exactly(source)
  }
  await writer.write(pieces(), (seq, bytes) => {
    plaintextBytes = bytes
    sent.push({ seq, bytes: Math.max(0, bytes - header.length) })
  })
  const bytes = plaintextBytes - header.length
  const receipt = ReceiptMessage.safeParse(await (await run.reader.next()).readJson())
  if (!receipt.success || receipt.data.message !== index || receipt.data.bytes !== bytes)
    throw new PairingError('corrupt')
  channel.onAcked = undefined
  // The receipt can overtake the ack of the last frames, and says the same.
  if (sent.length > 0) onProgress?.({ receiverCode, matchNumber, bytes, totalBytes })
  return bytes
}
