import type { VerifiedPeer } from '../../crypto/handshake.ts'
import { atMost, type Environment } from '../environment.ts'
import { PairingError } from '../errors.ts'
import type { Channel } from '../link/channel.ts'
import { type DeclineReason, Offer } from '../offer.ts'
import { cancelOf, type MessageBody, MessageReader, MessageWriter, skipUnknown } from './messages.ts'
import { isControl, TransferReader } from './transfer.ts'

/** How long a receipt's ack is waited for. */
const ACK_WAIT_MS = 10_000

interface Receiving {
  readonly channel: Channel
  readonly peer: VerifiedPeer
  readonly maxFrameBytes: number
  readonly environment: Environment
  readonly onApproved: (() => void) | undefined
  /** Ends this device's part in the session. */
  readonly leave: () => Promise<void>
}

/** The transfers of a verified sender, after its approval. Every key it was given is zero when it ends. */
export async function* receive(options: Receiving): AsyncGenerator<Offer, void> {
  const { channel, peer, environment, leave } = options
  const reader = new MessageReader(channel, peer.receiveKey)
  const writer = new MessageWriter(channel, peer.sendKey, options.maxFrameBytes)
  const say = (message: object) => settle(environment, channel, writer.writeJson(message))
  let approved = false
  try {
    const approval = await reader.next()
    if (Object(await approval.readJson()).type !== 'approved') throw new PairingError('corrupt')
    approved = true
    options.onApproved?.()
    for (let transfers = 0; ; ) {
      const body = await reader.next()
      if (await isControl(body)) {
        if (await isEnd(body, transfers)) return
        continue
      }
      transfers++
      const { index } = body
      const offer = new Offer({
        transfer: await TransferReader.open(body),
        confirm: (bytes) => say({ message: index, bytes }),
        refuse: async (refused: DeclineReason) => {
          await say({ message: index, refused })
          await leave()
        },
      })
      yield offer
      if (offer.declined) return
      if (!offer.complete) throw new PairingError('incomplete')
    }
  } catch (error) {
    if (!approved || !(error instanceof PairingError)) throw error
    if (/^(corrupt|incomplete)$/.test(error.code)) await say({ message: reader.index, refused: 'failed' })
    throw meaningOf(error)
  } finally {
    reader.wipe()
    // An offer that is accepted after this must not seal its receipt under what is left of the key.
    writer.wipe()
  }
}

/** Reports whether a control message says that all was sent. Throws PairingError `incomplete` when that is not so. */
async function isEnd(body: MessageBody, transfers: number): Promise<boolean> {
  const message = await body.readJson()
  const { type, messages } = Object(message)
  if (type !== 'end') {
    // A cancel can follow a whole transfer whose receipt had not come.
    const cancelled = cancelOf(message, body.index - 1)
    if (cancelled) throw cancelled
    skipUnknown(message)
    return false
  }
  if (messages !== transfers) throw new PairingError('incomplete')
  return true
}

/** Waits for the ack of a receipt: until then this device must not leave. Reports whether it came. */
async function settle(environment: Environment, channel: Channel, sending: Promise<void>): Promise<boolean> {
  const settling = async () => {
    await sending
    await channel.flushed()
    return true
  }
  try {
    return (await atMost(environment, ACK_WAIT_MS, settling())) ?? false
  } catch (error) {
    // A session that ends now has ended after we had everything.
    if (!(error instanceof PairingError)) throw error
    return false
  }
}

/** A session that ends while something is still to come leaves the transfer incomplete; say so, and why. */
function meaningOf(error: PairingError): PairingError {
  if (error.code !== 'closed_by_sender') return error
  return new PairingError('closed_by_sender', { detail: 'It may not have sent everything.', cause: error })
}
