import { execFileSync } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { PairingError, Receiver, Sender, save } from 'pairlay'
import { PartialFolder, pathSources, TransferStore } from 'pairlay/node'
import { expect, test } from 'vitest'
import { MIB, temporaryDirectory } from '../cli/support.ts'
import { Random } from '../support/random.ts'
import { startRelay } from '../support/server.ts'

test('an app with pairlay/node sends a folder, and goes on where it was cut when it sends it again', async () => {
  const { at } = await temporaryDirectory({ 'holiday/': '', 'downloads/': '' })
  const film = new Random('pairlay/node').bytes(12 * MIB)
  await writeFile(at('holiday/film'), film)
  await writeFile(at('holiday/note'), 'hello')
  const relay = await startRelay()
  const transfers = new TransferStore(at('transfers'), (error) => {
    throw error
  })
  const partials = new PartialFolder({ directory: at('downloads') })

  /** Sends the folder once. The receiver leaves for good after so many bytes. */
  async function attempt(leavesAfter: number) {
    const sender = await Sender.open({ relay: relay.url })
    const receiver = await Receiver.join({ relay: relay.url, code: sender.code })
    for await (const request of sender.requests()) await request.approve()
    const onProgress = ({ bytes }: { bytes: number }) => {
      if (bytes > leavesAfter) void receiver.close()
    }
    const saving = (async () => {
      for await (const offer of receiver.offers()) await save(offer, partials, { onProgress })
    })().catch((error) => {
      if (!(error instanceof PairingError)) throw error
    })
    const found = await pathSources(at('holiday'))
    expect(found?.leftOut.length).toBe(0)
    let had = 0
    const onAnswer = ({ hasBytes }: { hasBytes: number }) => {
      had = hasBytes
    }
    const [receipt] = await sender.send(found?.sources ?? [], { transfers, onAnswer })
    await sender.close()
    await saving
    return { delivered: receipt?.delivered, had }
  }

  expect(await attempt(6 * MIB)).toEqual({ delivered: false, had: 0 })
  expect(await readdir(at('downloads'))).toEqual([expect.stringMatching(/^holiday\.\w{26}\.part$/)])
  const again = await attempt(Number.POSITIVE_INFINITY)
  expect(again.delivered).toBe(true)
  expect(again.had).toBeGreaterThan(MIB)
  expect(await readdir(at('downloads'))).toEqual(['holiday'])
  expect((await readFile(at('downloads/holiday/film'))).equals(film)).toBe(true)
  execFileSync('diff', ['-r', at('holiday'), at('downloads/holiday')])
  await relay.close()
})
