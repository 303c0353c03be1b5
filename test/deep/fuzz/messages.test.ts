import { afterAll, describe, expect, test } from 'vitest'
import { type CloseErrorCode, ERRORS } from '../../../src/protocol/errors.ts'
import { ATTACH_MAX_BYTES } from '../../../src/protocol/limits.ts'
import { BINARY, TEXT, wsFrame } from '../../conformance/raw.ts'
import { FakeSocket } from '../../support/fake-socket.ts'
import { expectHealthy, expectIdle, warmUp } from '../../support/health.ts'
import { FACTOR, Random, SEED } from '../../support/random.ts'
import { type Ending, RawWebSocket } from '../../support/raw-web-socket.ts'
import { DEFAULT_SETTINGS, NOTHING_LEFT, settled, TestRelay } from '../../support/relay.ts'
import { type RelayProcess, startRelayProcess } from '../../support/relay-process.ts'
import { judgeFirst, judgeNext } from './judge.ts'
import { firstMessage, nextMessage } from './messages.ts'
import { inMemory, overHttp, type Scene } from './scene.ts'

/** 50,000 in all: a third of them over sockets of the built relay, the others where sockets cost nothing. */
const WIRE = { first: 2_500 * FACTOR, next: 15_000 * FACTOR }
const MEMORY = { first: 15_000 * FACTOR, next: 17_500 * FACTOR }
const BURST = 24
const CONNECTIONS = 8
const ROLES = ['sender', 1, 2, 3] as const

describe('the relay in memory', () => {
  test(`closes as documented for ${MEMORY.first} mutated first messages (seed ${SEED})`, async () => {
    const random = new Random('memory', 'first')
    const node = new TestRelay({ settings: DEFAULT_SETTINGS })
    const scene = await inMemory(node)
    for (let done = 0; done < MEMORY.first; done++) {
      const attacker = new FakeSocket(node.relay, scene.sessionId)
      const message = firstMessage(random, scene.tokens.sender)
      attacker.say(message)
      await settled()
      expect(codeOf(attacker.closedWith), `${message}`).toBe(judgeFirst(message, Object.values(scene.tokens)))
      expect(attacker.views.length).toBe(attacker.closedWith ? 0 : 1)
      attacker.vanish()
    }
    await expectForgotten(node)
  })

  test(`closes as documented for ${MEMORY.next} mutated messages after the attach (seed ${SEED})`, async () => {
    const random = new Random('memory', 'next')
    const node = new TestRelay({ settings: DEFAULT_SETTINGS })
    let scene = await inMemory(node)
    for (let done = 0, bursts = 0; done < MEMORY.next; bursts++) {
      if (bursts % 50 === 49) {
        await scene.close()
        scene = await inMemory(node)
      }
      const role = random.pick(ROLES)
      const attacker = new FakeSocket(node.relay, scene.sessionId)
      attacker.attach(scene.tokens[role], scene.resume(role))
      await settled()
      const { messages, code } = burst(random, scene, role)
      for (const message of messages) attacker.say(message)
      await settled()
      expect(codeOf(attacker.closedWith), shown(messages)).toBe(code)
      expect(attacker.violations).toBe(0)
      attacker.vanish()
      done += messages.length
    }
    await expectForgotten(node)
  })
})

describe('the relay as built', async () => {
  const relay = await startRelayProcess()
  afterAll(() => relay.stop())

  test(`takes ${WIRE.first} mutated first messages and ${WIRE.next} later ones, and is as before (seed ${SEED})`, async () => {
    await warmUp(relay)
    const idle = await relay.state()
    for (let part = 0; part < 5; part++) {
      await inParallel((worker) => firstOnes(relay, new Random('wire', 'first', part, worker), WIRE.first / 5))
      await expectHealthy(relay)
      await inParallel((worker) => laterOnes(relay, new Random('wire', 'next', part, worker), WIRE.next / 5))
      await expectHealthy(relay)
      expect(relay.failures).toEqual([])
    }
    await expectIdle(relay, idle)
  })
})

function inParallel(work: (worker: number) => Promise<void>): Promise<unknown> {
  return Promise.all(Array.from({ length: CONNECTIONS }, (_, worker) => work(worker)))
}

async function firstOnes({ url, port }: RelayProcess, random: Random, count: number): Promise<void> {
  const scene = await overHttp(url)
  for (let done = 0; done < count; done += CONNECTIONS) {
    const message = firstMessage(random, scene.tokens.sender)
    const attacker = new RawWebSocket(port, scene.sessionId, framed(message))
    await attacker.until(() => attacker.frames.length > 0)
    const expected = judgeFirst(message, Object.values(scene.tokens))
    expect(endOf(attacker.ending), `${message}`).toBe(expected)
    if (expected === undefined) expect(attacker.frames[0].opcode).toBe(TEXT)
    attacker.destroy()
  }
}

async function laterOnes({ url, port }: RelayProcess, random: Random, count: number): Promise<void> {
  let scene = await overHttp(url)
  for (let done = 0, bursts = 0; done < count; bursts++) {
    if (bursts % 50 === 49) {
      await scene.close()
      scene = await overHttp(url)
    }
    const role = random.pick(ROLES)
    const attach = JSON.stringify({ type: 'attach', token: scene.tokens[role], channels: scene.resume(role) })
    // All comes at once with the attach. Until that is answered nothing may be larger.
    const { messages, code } = burst(random, scene, role, ATTACH_MAX_BYTES)
    const attacker = new RawWebSocket(port, scene.sessionId, Buffer.concat([attach, ...messages].map(framed)))
    await attacker.settled()
    expect(endOf(attacker.ending), shown(messages)).toBe(code)
    attacker.destroy()
    done += messages.length * CONNECTIONS
  }
  await scene.close()
}

/** Messages up to the first that closes the socket, and the code it is closed with. */
function burst(random: Random, scene: Scene, role: (typeof ROLES)[number], maxBytes = Number.POSITIVE_INFINITY) {
  const messages: (string | Buffer)[] = []
  while (messages.length < BURST) {
    const { message } = nextMessage(random, role, scene.channels)
    if (Buffer.byteLength(message) > maxBytes) continue
    messages.push(message)
    const code = judgeNext(message, role, scene.channels, DEFAULT_SETTINGS.maxFrameBytes)
    if (code !== undefined) return { messages, code }
  }
  return { messages, code: undefined }
}

function framed(message: string | Buffer): Buffer {
  return wsFrame(typeof message === 'string' ? TEXT : BINARY, message)
}

function codeOf(closed: CloseErrorCode | undefined): number | undefined {
  return closed && ERRORS[closed].closeCode
}

function endOf(ending: Ending | undefined): number | 'cut' | undefined {
  return typeof ending === 'object' ? ending.code : ending
}

function shown(messages: readonly (string | Buffer)[]): string {
  return messages.map((each) => (typeof each === 'string' ? each : each.subarray(0, 24).toString('hex'))).join(' ')
}

async function expectForgotten(node: TestRelay): Promise<void> {
  await settled()
  for (let round = 0; round < 2; round++) await node.pass(4_000_000)
  expect(node.counters()).toEqual(NOTHING_LEFT)
  expect(node.failures).toEqual([])
}
