import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { ReceiverHandshake, SenderHandshake, type VerifiedPeer } from '../../src/crypto/handshake.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { bytesOf, collect, errorOf, meet, openSender, pair } from './people.ts'
import { RawReceiver } from './raw-peers.ts'
import { startRelay, type TestRelay } from './setting.ts'
import { until } from './world.ts'

let relay: TestRelay
/** Outcomes of all handshakes of this process. */
let peers: VerifiedPeer[]

beforeEach(async () => {
  relay = await startRelay()
  peers = []
  const [answerM3, finish] = [SenderHandshake.prototype.answerM3, ReceiverHandshake.prototype.finish]
  vi.spyOn(SenderHandshake.prototype, 'answerM3').mockImplementation(function (this: SenderHandshake, m3) {
    const answer = answerM3.call(this, m3)
    peers.push(answer.peer)
    return answer
  })
  vi.spyOn(ReceiverHandshake.prototype, 'finish').mockImplementation(function (this: ReceiverHandshake, m4) {
    const peer = finish.call(this, m4)
    peers.push(peer)
    return peer
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await relay.end()
})

/** All keys that both sides had: four of 64 bytes, for one pair. */
function keys(): Uint8Array[] {
  return peers.flatMap(({ sendKey, receiveKey }) => [sendKey, receiveKey])
}

async function expectWiped(): Promise<void> {
  expect(keys()).toHaveLength(4)
  await until('all keys are overwritten', () => keys().every((key) => key.every((byte) => byte === 0)))
}

test('after a whole pairing no key is left on either side', async () => {
  const { sender, receiver } = await pair(relay.url)
  const collecting = collect(receiver)
  await sender.send([bytesSource(bytesOf(10), 'a')])
  expect(keys().some((key) => key.every((byte) => byte === 0))).toBe(false)
  await sender.close()
  await collecting
  await expectWiped()
})

test('nor after one that was cancelled in the middle', async () => {
  const { sender, receiver } = await pair(relay.url)
  const end = errorOf(collect(receiver, { onProgress: () => void sender.cancel() }))
  await sender.send([bytesSource(bytesOf(3_000_000), 'a')])
  await end
  await expectWiped()
})

test('nor of a device that was verified and denied', async () => {
  const { receiver, request } = await meet(relay.url)
  const end = errorOf(collect(receiver))
  await request.deny()
  await end
  await expectWiped()
})

test('nor of one that was verified and left before its app had asked for anything', async () => {
  const { receiver } = await meet(relay.url)
  await receiver.close()
  await expectWiped()
})

test('a session that is cancelled refuses nobody on the way: who waits is told that it ended', async () => {
  const { sender, world } = await openSender(relay.url)
  const requests: string[] = []
  world.onFetch = (send, url, init) => {
    requests.push(`${init.method} ${url.slice(url.lastIndexOf('/'))}`)
    return send()
  }
  const raw = await RawReceiver.join(relay.url, parsePairingCode(sender.code))
  raw.send(raw.m1())
  await raw.next()
  await sender.cancel()
  expect(requests).toHaveLength(1)
  expect(requests[0]).toMatch(/^DELETE/)
  await raw.socket.until((view) => view?.state === 'closed')
  expect(raw.socket.view?.receivers[0]?.state).toBe('pending')
})
