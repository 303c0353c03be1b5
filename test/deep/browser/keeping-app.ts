import { blobSource, PairingError, Receiver, Sender, save, type Transfers } from 'pairlay'
import { BrowserPartials, BrowserTransfers, FileWorker, freeRoom, type Kept } from 'pairlay/browser'
import { blocksOf, type Content } from './content.ts'

/** An app in a browser that keeps what was cut, as docs/sdk.md has it. */

const files = new FileWorker(() => {
  return new Worker(new URL('pairlay/browser/worker', import.meta.url), { type: 'module' })
})
const partials = new BrowserPartials(files)
const transfers: Transfers = new BrowserTransfers(files)

/** Files that came, by path: a digest of each, with how many bytes of the offer had come before. */
export interface Took {
  readonly had: number
  readonly files: Readonly<Record<string, string>>
}

export class KeepingApp {
  #sending: Promise<number | string> = Promise.resolve('nothing was sent')

  /** Bytes that the browser has room for, or why nothing can be kept. */
  room(): Promise<number | undefined> {
    return freeRoom(files)
  }

  /** The same with a worker that does not exist. */
  roomWithoutWorker(): Promise<number | undefined> {
    return freeRoom(new FileWorker(() => new Worker('/nowhere.js', { type: 'module' })))
  }

  /** Takes the offers of a sender, and leaves it after so many bytes. Resolves with the code of the error that ended it. */
  async take(relay: string, code: string, leavesAfter: number): Promise<Took | string> {
    const receiver = await Receiver.join({ relay, code })
    let had = -1
    const taken: Record<string, string> = {}
    const onProgress = ({ bytes }: { bytes: number }) => {
      if (had < 0) had = bytes
      if (bytes > leavesAfter) void receiver.close()
    }
    try {
      for await (const offer of receiver.offers()) {
        const partial = await save(offer, partials, { onProgress })
        const { entries, files } = await partial.received()
        for (const [entry, { blob }] of files) taken[entries[entry]?.path ?? ''] = await sha256Of(blob)
        partial.release()
      }
      return { had, files: taken }
    } catch (error) {
      return nameOf(error)
    }
  }

  /** Sends a file that the person has chosen. Resolves with the code of its session. */
  async send(relay: string, content: Content): Promise<string> {
    const file = new File([...blocksOf(content)], 'film.mkv', { lastModified: 1 })
    const sender = await Sender.open({ relay })
    let had = -1
    const work = async () => {
      const { value: request } = await sender.requests().next()
      const device = await request?.approve()
      const source = { ...blobSource(file), key: `${file.name} ${file.size} ${file.lastModified}` }
      await device?.send([source], { transfers, onAnswer: (bytes) => (had = bytes) })
      await sender.close()
      return had
    }
    this.#sending = work().catch(nameOf)
    return sender.code
  }

  /** Bytes that the other device had before, or the error's name. */
  sent(): Promise<number | string> {
    return this.#sending
  }

  kept(): Promise<Kept[]> {
    return partials.kept()
  }

  tokens(): Promise<string[]> {
    return partials.tokens()
  }

  /** Opens what is kept under a token, and does not let go of it. */
  open(token: string): Promise<string> {
    return partials.open(token, []).then(
      () => 'opened',
      (error) => `${error.name}: ${error.message}`,
    )
  }

  remove(token: string): Promise<void> {
    return partials.remove(token)
  }
}

declare global {
  var app: KeepingApp
}

globalThis.app = new KeepingApp()

function nameOf(error: unknown): string {
  return error instanceof PairingError ? error.code : String(error)
}

async function sha256Of(blob: Blob): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', await blob.arrayBuffer())
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
