import { blobSource, Receiver, Sender } from 'pairlay'
import { FileWorker } from 'pairlay/browser'

/** A page: nothing of Node has types here. */
export async function hand(relay: string, file: File): Promise<FileWorker> {
  const sender = await Sender.open({ relay })
  await sender.send([blobSource(file, file.name)])
  const receiver = await Receiver.join({ link: sender.link })
  for await (const offer of receiver.offers())
    for await (const { stream } of offer.accept()) await new Response(stream).blob()
  return new FileWorker(() => new Worker('worker.js', { type: 'module' }))
}
