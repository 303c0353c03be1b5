import { readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openSender, pairlay, relayOfFile, temporaryDirectory } from '../../cli/support.ts'
import { bytesOf } from '../../e2e/people.ts'
import { describeNginx, Nginx } from '../../support/nginx.ts'

const relay = relayOfFile()
const SLOWER = 'WebSockets do not pass here. Going on over HTTP, which is slower.'

describeNginx('pairlay behind an nginx that refuses upgrades', () => {
  let nginx: Nginx
  beforeAll(async () => {
    const port = Number(new URL(relay.url).port)
    nginx = await Nginx.start(port, { location: 'if ($http_upgrade) { return 403; }' })
  })
  afterAll(() => nginx?.stop())

  test('sends and receives over HTTP; each side says so in one line, and nothing of a lost connection', async () => {
    const { at } = await temporaryDirectory()
    const content = bytesOf(1_000_001)
    await writeFile(at('file'), content)
    const env = { PAIRLAY_RELAY: nginx.url }
    const sender = pairlay(['send', '--yes', at('file')], { env })
    const [, code = ''] = await sender.says(/Code: (\S+)/)
    const receiver = pairlay(['receive', '--yes', '-o', at('saved'), code], { env })
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, received.exitCode]).toEqual([0, 0])
    expect((await readFile(at('saved'))).equals(content)).toBe(true)
    for (const { stderr } of [sent, received]) {
      expect(stderr.split(SLOWER)).toHaveLength(2)
      expect(stderr).not.toContain('is lost')
    }
  })

  test('with --json has one event for it, before the connection is there', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const env = { PAIRLAY_RELAY: nginx.url }
    const { sender, code } = await openSender([at('file')], { env })
    const receiver = pairlay(['receive', '--yes', '--json', '-o', at('saved'), code], { env })
    await Promise.all([sender.ended(), receiver.ended()])
    for (const { events, stderr } of [sender, receiver]) {
      const told = events.filter(({ event }) => event === 'connection' || event === 'fallback')
      expect(told).toEqual([
        { event: 'connection', status: 'reconnecting' },
        { event: 'fallback' },
        { event: 'connection', status: 'connected' },
      ])
      expect(stderr).toBe('')
    }
  })
})
