// Hands over a file:   node hand-over.mjs RELAY FILE
// Takes it:            node hand-over.mjs RELAY NEW_FILE CODE

import { promises as fs, openAsBlob } from 'node:fs'
import { basename } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { blobSource, Receiver, Sender } from 'pairlay'

const [relay = '', path = '', code] = process.argv.slice(2)
if (code) {
  const receiver = await Receiver.join({ relay, code })
  console.log('Number:', await receiver.verified)
  // Bytes go into the file that the person has named here. It is there when it is whole, and replaces nothing.
  const beforeReceipt = () => fs.link(`${path}.part`, path).then(() => fs.unlink(`${path}.part`))
  for await (const offer of receiver.offers())
    for await (const { stream } of offer.accept({ beforeReceipt }))
      await fs.writeFile(`${path}.part`, stream, { flag: 'wx' })
} else {
  const sender = await Sender.open({ relay })
  console.log('Code:', sender.code)
  // The person types the number that the other device shows: nobody can say yes without having looked.
  const terminal = createInterface(process.stdin, process.stdout)
  for await (const _ of sender.requests()) await sender.approveNumber(await terminal.question('Its number: '))
  console.log(await sender.send([blobSource(await openAsBlob(path), basename(path))]).finally(() => sender.close()))
  terminal.close()
}
