import { expect, test } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { admit, collect, errorOf, join, nextRequest, openSender, wrongCode } from './people.ts'
import { RawReceiver, RawSocket } from './raw-peers.ts'
import { startRelay } from './setting.ts'
import { DeviceWorld } from './world.ts'

test('nothing that anybody entered, was given or sent is in the relay’s log, at its most talkative', async () => {
  const relay = await startRelay({ logLevel: 'trace' })
  const secrets = new Map<string, string>()
  const note = (what: string, value: unknown) => {
    if (typeof value === 'string') secrets.set(`${what} ${secrets.size}`, value)
  }
  const listen = (world: DeviceWorld) => {
    world.onFetch = async (send, _url, init) => {
      const { publicKey, receiverCode, name } = JSON.parse(String(init.body ?? '{}'))
      for (const [what, value] of Object.entries({ publicKey, receiverCode, name })) note(what, value)
      const answer = await send()
      const said = (await answer
        .clone()
        .json()
        .catch(() => ({}))) as Record<string, unknown>
      note('token', said.token)
      note('session', said.sessionId)
      return answer
    }
    return world
  }
  const payload = Buffer.from('PAYLOAD-MARKER '.repeat(1_000))
  note('payload', 'PAYLOAD-MARKER')
  note('item', 'ITEM-MARKER')

  // The whole of a pairing, with one receiver that is approved, one that is denied and one with a wrong code.
  const senderWorld = listen(await DeviceWorld.create())
  const device = await openSender(relay.url, { receivers: 2, world: senderWorld })
  const { locator, secret, text } = parsePairingCode(device.sender.code)
  note('first half', locator)
  note('second half', secret)
  note('code', text)
  const name = 'NAME-MARKER'
  const approved = await admit(relay.url, device, { name, world: listen(await DeviceWorld.create()) })
  note('number', approved.receiver.matchNumber)
  note('fingerprint', approved.receiver.fingerprint)
  const collecting = collect(approved.receiver)
  const wrong = await RawReceiver.join(relay.url, wrongCode(text))
  wrong.send(wrong.m1())
  wrong.send(wrong.m3(await wrong.next()))
  await wrong.socket.until((view) => view?.receivers[0]?.state === 'denied')
  const denied = await join(relay.url, text, { name: 'DENIED-MARKER', world: listen(await DeviceWorld.create()) })
  const end = errorOf(collect(denied.receiver))
  const request = await nextRequest(device)
  await device.sender.send([bytesSource(payload, 'ITEM-MARKER.txt', 'text/ITEM-MARKER')])
  await request.deny()
  await end
  await device.sender.close()
  await collecting

  // Everything that is refused, with something in it that could be quoted.
  const [token] = [...secrets].filter(([what]) => what.startsWith('token')).map(([, value]) => value)
  const [sessionId] = [...secrets].filter(([what]) => what.startsWith('session')).map(([, value]) => value)
  note('rubbish', 'RUBBISH-MARKER')
  const json = { 'content-type': 'application/json' }
  const refused: [string, RequestInit][] = [
    ['/v1/sessions', { method: 'POST', headers: json, body: '{"clientId":"RUBBISH-MARKER"' }],
    [
      '/v1/sessions',
      { method: 'POST', headers: json, body: '{"clientId":"RUBBISH-MARKER","senderCode":"RUBBISH-MARKER "}' },
    ],
    ['/v1/sessions', { method: 'POST', headers: { 'content-type': 'text/RUBBISH-MARKER' }, body: 'RUBBISH-MARKER' }],
    ['/v1/receivers', { method: 'POST', headers: json, body: `{"senderCode":"${locator}"}` }],
    ['/v1/RUBBISH-MARKER?token=RUBBISH-MARKER', {}],
    ['/v1/sessions/RUBBISH-MARKER%ff', { headers: { authorization: 'Bearer RUBBISH-MARKER' } }],
    [`/v1/sessions/${sessionId}`, { headers: { authorization: `Bearer ${token}` } }],
    [
      `/v1/sessions/${sessionId}?version=RUBBISH-MARKER&waitMs=RUBBISH-MARKER`,
      { headers: { cookie: 'RUBBISH-MARKER' } },
    ],
    [
      `/v1/sessions/${sessionId}/receivers/RUBBISH-MARKER`,
      { method: 'DELETE', headers: { authorization: `Bearer ${token}` } },
    ],
  ]
  for (const [path, init] of refused) await fetch(relay.url + path, init)
  for (const bad of [token.replace(/^./, (first) => (first === 'A' ? 'B' : 'A')), 'RUBBISH-MARKER']) {
    await RawSocket.attach(relay.url, { sessionId, token: bad }).catch(() => {})
  }
  await relay.close()

  expect(secrets.size).toBeGreaterThan(15)
  expect(relay.log.filter((line) => line.includes('"answered"')).length).toBeGreaterThan(15)
  const log = relay.log.join('')
  for (const [what, value] of secrets) expect(log.includes(value), `the ${what} is in the log`).toBe(false)
  expect(log.toLowerCase()).not.toMatch(/bearer|127\.0\.0\.1/)
})
