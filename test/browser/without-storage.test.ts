import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BrowserPartials, BrowserTransfers, FileWorker, freeRoom } from '../../src/browser/index.ts'

const TOKEN = 'AAAAAAAAAAAAAAAAAAAAAA'
const files = new FileWorker(() => expect.unreachable('no worker is needed'))

describe('a page that can keep no files, as one without TLS', () => {
  beforeEach(() => void vi.stubGlobal('navigator', {}))
  afterEach(() => void vi.unstubAllGlobals())

  test('has no room, and nothing from before', async () => {
    expect(await freeRoom(files)).toBeUndefined()
    const partials = new BrowserPartials(files)
    expect([await partials.tokens(), await partials.kept()]).toEqual([[], []])
  })

  test('is told what to do when it keeps an offer', async () => {
    const opened = new BrowserPartials(files).open(TOKEN, [{ path: 'file', size: 1 }])
    await expect(opened).rejects.toMatchObject({
      name: 'NotSupportedError',
      message: 'This page can keep no files: it is not served over HTTPS, or the worker did not start.',
    })
  })

  test('sends all the same, and remembers nothing', async () => {
    const broken = new FileWorker(() => {
      throw new Error('there are no workers')
    })
    const transfers = new BrowserTransfers(broken)
    await transfers.put(TOKEN, ['file'])
    expect(await transfers.tokensOf(['file'])).toEqual([])
    await transfers.remove(TOKEN)
  })
})
