import { type Offer, PairingError, type PairingErrorCode, Receiver, Sender, textSource } from 'pairlay'
import { BrowserPartials } from 'pairlay/browser'
import { PartialFolder, pathSources } from 'pairlay/node'
import { TestRelay } from 'pairlay/testing'

export async function both(relay: string): Promise<PairingErrorCode | undefined> {
  const sender = await Sender.open({ relay })
  const receiver = await Receiver.join({ relay, code: sender.code })
  await sender.send([textSource('a text'), ...((await pathSources('folder'))?.sources ?? [])])
  for await (const offer of receiver.offers()) save(offer)
  const error: unknown = new TestRelay()
  return error instanceof PairingError ? error.code : undefined
}

function save(offer: Offer): readonly [typeof BrowserPartials, PartialFolder] {
  // @ts-expect-error An offer has no such thing: types that are `any` would have it.
  offer.nothing
  return [BrowserPartials, new PartialFolder({ directory: '.' })]
}
