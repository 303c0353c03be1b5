import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { blobSource, Receiver, Sender, streamSource } from 'pairlay'

/** Hands a Blob and a stream of Node over, 40 MB each, and prints whether both have arrived as they were. */

const relay = process.env.RELAY
const piece = randomBytes(1_000_000)
const pieces = Array.from({ length: 40 }, () => piece)
const sender = await Sender.open({ relay })
const receiver = await Receiver.join({ relay, code: sender.code })
const taken = (async () => {
  const digests = []
  for await (const offer of receiver.offers()) {
    for await (const { stream } of offer.accept()) {
      const hash = createHash('sha256')
      for await (const bytes of stream) hash.update(bytes)
      digests.push(hash.digest('hex'))
    }
  }
  return digests
})()
for await (const _ of sender.requests()) await sender.approveNumber(await receiver.verified)
await sender.send([blobSource(new Blob(pieces), 'blob')])
await sender.send([streamSource(Readable.from(pieces), 'stream')])
await sender.close()
const sent = createHash('sha256')
for (const each of pieces) sent.update(each)
const digest = sent.digest('hex')
console.log((await taken).join() === `${digest},${digest}` ? 'both arrived' : 'something else arrived')
process.exit()
