import { connect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeClock } from '../../support/fake-clock.ts'
import { call } from '../../support/http.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'

const REFUSALS = 3
const REQUESTS = 10
const ATTACKER = '203.0.113.1'

let relay: RunningRelay
const clock = new FakeClock()
beforeEach(async () => {
  const limits = { refusals: REFUSALS, requests: REQUESTS }
  relay = await startRelay({ clock, limits, trustProxy: ['127.0.0.1'] })
})
afterEach(() => relay.close())

const from = (address: string, path = '/v1/nothing') =>
  call(relay.url, 'GET', path, { headers: { 'x-forwarded-for': address } })
const all = (count: number, address: string, path?: string) =>
  Promise.all(Array.from({ length: count }, () => from(address, path)))

/** Which of two kinds of answers come first: those of somebody else, or the one that is one too many. */
async function order(tooMany: Promise<unknown>): Promise<string[]> {
  const came: string[] = []
  const late = tooMany.then(() => came.push('the attacker'))
  await all(REFUSALS, '198.51.100.7').then(() => came.push('the other'))
  await late
  return came
}

test('an address that is refused too often waits for its answer, and others do not', async () => {
  await all(REFUSALS, ATTACKER)
  expect(await order(from(ATTACKER))).toEqual(['the other', 'the attacker'])
})

test('an address that asks too often waits for its answer, whatever it is', async () => {
  await all(REQUESTS, ATTACKER, '/version')
  expect(await order(from(ATTACKER, '/version'))).toEqual(['the other', 'the attacker'])
})

test('another second has another measure', async () => {
  await all(REFUSALS, ATTACKER)
  const came: string[] = []
  const late = from(ATTACKER).then(() => came.push('the last of this second'))
  await all(1, '198.51.100.7')
  clock.advance(1_000)
  await from(ATTACKER).then(() => came.push('the first of the next'))
  await late
  expect(came).toEqual(['the first of the next', 'the last of this second'])
})

test('a request that does not wait for the answer before it ends the connection', async () => {
  await all(REFUSALS, ATTACKER)
  const attacker = connect(relay.port, '127.0.0.1')
  let heard = ''
  attacker.setEncoding('latin1').on('data', (text: string) => {
    heard += text
  })
  const request = `GET /v1/nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: ${ATTACKER}\r\n\r\n`
  attacker.write(request.repeat(100))
  await new Promise((resolve) => {
    attacker.on('error', () => {})
    attacker.once('close', resolve)
  })
  expect(heard).toBe('')
})
