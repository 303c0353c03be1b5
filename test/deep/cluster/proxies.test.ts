import { afterEach, describe, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { admit, bytesOf, collect, openSender, outcomeOf, sha256 } from '../../e2e/people.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'
import { isInstalled } from './balancer.ts'
import { PROXIES, type RunningProxy, startProxy } from './proxies.ts'

for (const proxy of PROXIES) {
  const isHere = isInstalled(proxy) || process.env.REQUIRE_ALL === '1'
  const reason = isHere ? '' : ` (skipped: there is no ${proxy.name} here)`

  describe.skipIf(!isHere)(`a relay behind ${proxy.name}, with the file that deploy/proxies has${reason}`, () => {
    const started: { readonly stop: () => Promise<unknown> }[] = []
    afterEach(async () => {
      for (const { stop } of started.splice(0).toReversed()) await stop()
    })

    async function behind(): Promise<{ relay: RunningRelay; urls: RunningProxy['urls'] }> {
      const relay = await startRelay({ trustProxy: ['127.0.0.1'], allowedHosts: [], logLevel: 'info' })
      started.push({ stop: () => relay.close() })
      const running = await startProxy(proxy, relay.port)
      started.push(running)
      return { relay, urls: running.urls }
    }

    test('files go through WebSockets at the root and under a path, and the relay has nothing to warn about', async () => {
      const { relay, urls } = await behind()
      for (const url of Object.values(urls)) {
        const fallbacks: string[] = []
        const device = await openSender(url, { onFallback: () => fallbacks.push(url) })
        const { receiver } = await admit(url, device, { onFallback: () => fallbacks.push(url) })
        const received = collect(receiver)
        const payload = bytesOf(3 * 1024 * 1024)
        expect((await device.sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([payload.length])
        await device.sender.close()
        expect((await received).flat()).toMatchObject([{ sha256: sha256(payload) }])
        expect(fallbacks).toEqual([])
      }
      expect(relay.log.filter((line) => JSON.parse(line).level >= 40)).toEqual([])
    })
  })
}
