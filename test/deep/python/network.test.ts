import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Sender } from '../../../src/client/index.ts'
import { MIB, type Program, relayOfFile, temporaryDirectory, withOtherSecret } from '../../cli/support.ts'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { withLastTest } from '../../support/leftovers.ts'
import { describeNginx, Nginx } from '../../support/nginx.ts'
import { startRelayProcess } from '../../support/relay-process.ts'
import { describePython, ECHO, python, SIDES } from './programs.ts'

/** The client in Python where connections are cut, processes are killed, WebSockets do not pass, or a code is wrong. */

const relay = relayOfFile()
const { env } = relay

async function proxied(): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start(Number(new URL(relay.url).port))
  withLastTest(() => proxy.close())
  return proxy
}

interface Meeting {
  readonly sender: Program
  readonly receiver: Program
  readonly code: string
}

/** Python in one role, which reaches the relay through `url`, and the CLI in the other. */
async function meet(
  python: 'send' | 'receive',
  path: string,
  into: string,
  url: string,
  state: string,
  flags: string[] = [],
): Promise<Meeting> {
  const at = (role: 'send' | 'receive') => ({
    env: { XDG_STATE_HOME: state, PAIRLAY_RELAY: role === python ? url : relay.url },
  })
  const more = (role: 'send' | 'receive') => (role === python ? flags : [])
  const [send, receive] = python === 'send' ? [SIDES.Python, SIDES['the CLI']] : [SIDES['the CLI'], SIDES.Python]
  const sender = send(['send', '--yes', '--json', path, ...more('send')], at('send'))
  const code = String((await sender.event('code')).code)
  const receiver = receive(['receive', code, '--yes', '--json', '--into', into, ...more('receive')], at('receive'))
  return { sender, receiver, code }
}

const codes = async ({ sender, receiver }: Meeting) => [
  (await sender.ended()).exitCode,
  (await receiver.ended()).exitCode,
]

describePython('the client in Python', () => {
  test.each([
    ['send', 'WebSocket', []],
    ['receive', 'WebSocket', []],
    ['send', 'HTTP', ['--http']],
    ['receive', 'HTTP', ['--http']],
  ] as const)('that has to %s resumes each time that its network is cut, over %s', async (role, _, flags) => {
    const { at } = await temporaryDirectory()
    const content = randomBytes(6 * MIB)
    await writeFile(at('file'), content)
    const proxy = await proxied()
    proxy.cutEvery(1_500_000)
    const meeting = await meet(role, at('file'), at('in'), proxy.url, at('state'), [...flags])
    expect(await codes(meeting)).toEqual([0, 0])
    expect(proxy.cuts).toBeGreaterThan(2)
    expect((await readFile(at('in/file'))).equals(content)).toBe(true)
  })

  test.each([
    ['send', 'sender'],
    ['receive', 'receiver'],
  ] as const)('in a pairing where it has to %s, goes on with a folder whose %s was killed', async (role, who) => {
    const { at } = await temporaryDirectory()
    const content = randomBytes(12 * MIB)
    await mkdir(at('folder'))
    await writeFile(at('folder/a'), content)
    await writeFile(at('folder/b'), 'small')
    const proxy = await proxied()
    let first: Meeting | undefined
    proxy.onCut = () => {
      first?.[who].signal('SIGKILL')
      first?.[who === 'sender' ? 'receiver' : 'sender'].signal('SIGINT')
    }
    proxy.cutAfter(6 * MIB, 'any')
    first = await meet(role, at('folder'), at('in'), proxy.url, at('state'))
    await codes(first)
    const second = await meet(role, at('folder'), at('in'), relay.url, at('state'))
    expect(await codes(second)).toEqual([0, 0])
    expect(Number((await second.receiver.event('resumed')).bytes)).toBeGreaterThan(MIB)
    expect((await readFile(at('in/folder/a'))).equals(content)).toBe(true)
    expect(await readFile(at('in/folder/b'), 'utf8')).toBe('small')
  })

  test('that slept joins again by itself when its place was given away before it was answered', async () => {
    const alone = await startRelayProcess()
    withLastTest(() => alone.stop())
    const body = JSON.stringify({ clientId: 'nobody', senderCode: 'K7QM3', ttlSeconds: 900 })
    const headers = { 'content-type': 'application/json' }
    expect((await fetch(`${alone.url}/v1/sessions`, { method: 'POST', headers, body })).status).toBe(201)
    const receiver = python(['-m', 'pairlay', 'receive', 'K7QM3-XPDT28', '--json'], {
      env: { PAIRLAY_RELAY: alone.url },
    })
    await receiver.event('connection')
    receiver.signal('SIGSTOP')
    for (let times = 0; times < 6; times++) await alone.advance(26_000)
    receiver.signal('SIGCONT')
    await receiver.event('rejoined')
  })

  test('answers posts of the SDK, and asks it', async () => {
    const sender = await Sender.open({ relay: relay.url, takes: { offers: false, posts: true } })
    withLastTest(() => sender.close())
    const echo = python([ECHO, relay.url, sender.code])
    for await (const request of sender.requests()) {
      const device = await request.approve()
      for await (const post of device.posts()) {
        expect([post.type, Buffer.from(post.bytes).toString()]).toEqual(['ask', 'question'])
        await post.reply(Buffer.from('answer'))
        break
      }
      const large = randomBytes(MIB)
      for (let times = 0; times < 4; times++) {
        const answer = await device.ask(large, { type: 'echo' })
        expect(Buffer.from(answer.bytes).equals(Buffer.from(large).reverse())).toBe(true)
      }
      await device.close()
      break
    }
    expect((await echo.ended()).exitCode).toBe(0)
    expect(echo.stdout.toString()).toMatch(/^\d{3} \d{3}\n\S+ answer\n$/)
  })

  test.each([
    ['Python', 'the CLI'],
    ['the CLI', 'Python'],
  ] as const)('as %s, or with %s, a wrong code is refused, and then the number has to be typed', async (from, to) => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const sender = SIDES[from](['send', '--json', at('file')], { env, stdin: 'open' })
    const code = String((await sender.event('code')).code)
    const receive = (typed: string) => SIDES[to](['receive', typed, '--yes', '--json', '--into', at('in')], { env })
    expect((await receive(withOtherSecret(code)).ended()).exitCode).toBe(3)
    const receiver = receive(code)
    const { matchNumber } = await receiver.event('number')
    await sender.event('question')
    await sender.write(`${String(matchNumber).replace(' ', '')}\n`)
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
  })
})

describePython('the client in Python, behind a proxy,', () => {
  describeNginx('that refuses upgrades and takes bodies of 100 KB at most', () => {
    let nginx: Nginx
    beforeAll(async () => {
      const location = 'client_max_body_size 100k; if ($http_upgrade) { return 403; }'
      nginx = await Nginx.start(Number(new URL(relay.url).port), { location })
    })
    afterAll(() => nginx?.stop())

    test.each(['send', 'receive'] as const)('has to %s: it falls back to HTTP, and to smaller frames', async (role) => {
      const { at } = await temporaryDirectory()
      const content = randomBytes(MIB)
      await writeFile(at('file'), content)
      const meeting = await meet(role, at('file'), at('in'), nginx.url, at('state'))
      expect(await codes(meeting)).toEqual([0, 0])
      const { events } = meeting[role === 'send' ? 'sender' : 'receiver']
      const told = events.map(({ event }) => event).filter((event) => ['fallback', 'small_frames'].includes(event))
      expect(told).toEqual(role === 'send' ? ['fallback', 'small_frames'] : ['fallback'])
      expect((await readFile(at('in/file'))).equals(content)).toBe(true)
    })
  })
})
