import { readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../../support/http.ts'
import { describeRedis, type RedisServer, type RedisUser, startRedis } from '../../support/redis-server.ts'
import { type RunningNode, startNode } from '../../support/server.ts'
import { WireSocket } from '../../support/wire-socket.ts'
import { decide, end, join as joinSession, open, pair, view } from './party.ts'
import { ticking } from './two-nodes.ts'

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const acl = read('deploy/redis.acl')
const [, relayRules = ''] = /^user relay (.*)$/m.exec(acl) ?? []

/** Commands that @redis/client sends by itself: names, database, pings, scripts, subscriptions. */
const OF_THE_CLIENT = ['auth', 'select', 'ping', 'evalsha', 'eval', 'subscribe', 'ssubscribe']

describe('deploy/redis.acl', () => {
  test('allows the commands that the relay sends, and no other', () => {
    const folder = 'src/store/redis'
    const source = readdirSync(new URL(`../../../${folder}/`, import.meta.url))
      .map((file) => read(`${folder}/${file}`))
      .join('\n')
    const direct = [...source.matchAll(/\.(?:command|bytes)\(\s*'([A-Z]+)'/g)]
    const scripted = [...source.matchAll(/redis\.call\('([A-Z]+)'/g)]
    // The one that is not written where it is sent: how to publish depends on the server.
    const [published = ''] = /#publish: .*/.exec(source) ?? []
    const publishing = [...published.matchAll(/'([A-Z]+)'/g)]
    const calls = [...source.matchAll(/\.(?:command|bytes)\(/g)]
    expect(calls.length).toBe(direct.length + 1)
    const sent = [...direct, ...scripted, ...publishing].map(([, command]) => command.toLowerCase())
    const allowed = [...relayRules.matchAll(/\+(\S+)/g)].map(([, command]) => command)
    expect(allowed.toSorted()).toEqual([...new Set([...sent, ...OF_THE_CLIENT])].toSorted())
  })

  test('lets in nobody else, takes everything away first, and gives no more than the relay’s own keys and channel', () => {
    expect(acl.trim().split('\n')).toEqual(['user default off', `user relay ${relayRules}`])
    const others = relayRules.split(' ').filter((rule) => !rule.startsWith('+'))
    expect(others).toEqual(['on', '>change-me', 'resetkeys', '~pairlay:*', 'resetchannels', '&pairlay:wakes', '-@all'])
  })
})

describeRedis('a redis-server with the users of deploy/redis.acl', () => {
  const owner: RedisUser = { username: 'owner', password: 'of-the-test' }
  let folder: string
  let redis: RedisServer
  let url: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'pairlay-acl-'))
    const file = join(folder, 'users.acl')
    // Another client, to ask what was refused.
    await writeFile(file, `${acl}user ${owner.username} on >${owner.password} ~* &* +@all\n`)
    redis = await startRedis(['--aclfile', file], owner)
    url = redis.url.replace('//', '//relay:change-me@')
  })
  afterAll(async () => {
    await redis.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const nodes: RunningNode[] = []
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()))
  })
  async function start(database = ''): Promise<RunningNode> {
    const node = await startNode(url + database)
    nodes.push(node)
    return node
  }
  const errors = ({ log }: RunningNode) => log.filter((line) => JSON.parse(line).level >= 50)

  test('lets two nodes do all that they do, and refuses nothing', async () => {
    const A = await start()
    const B = await start()
    for (const node of [A, B, A]) await node.tick()
    const stopTicking = ticking([A, B])
    const { sender, receiver, S, R } = await pair(A, B)
    S.data(1, 1, 'to the receiver')
    R.data(1, 1, 'to the sender')
    await R.until(() => R.texts.includes('to the receiver'))
    await S.until(() => S.texts.includes('to the sender'))
    R.ack(1, 1)
    await S.until(() => S.messages.some((each) => each.kind === 'ack' && each.seq === 1))
    // Over HTTP, where the frames are too.
    const attached = await call(A.url, 'PUT', `/v1/sessions/${receiver.sessionId}/attachment`, {
      token: receiver.token,
      body: { channels: [{ channel: 1, received: 1, acked: 0 }] },
    })
    expect(attached.status, attached.text).toBe(200)
    const frame = `/v1/sessions/${receiver.sessionId}/channels/1/frames`
    const raw = { text: 'over HTTP', type: 'application/octet-stream' }
    expect((await call(B.url, 'PUT', `${frame}/2`, { token: receiver.token, raw })).status).toBe(200)
    await S.until(() => S.texts.includes('over HTTP'))
    expect((await view(B, sender)).status).toBe(200)
    const kept = String(await redis.command('GET', `pairlay:{${sender.sessionId}}`))
    expect(kept).toContain(receiver.receiverCode)
    for (const { token } of [sender, receiver]) expect(kept).not.toContain(token)
    // A session that is turned away, one that ends, and whatever is tidied after both.
    const another = await open(A)
    const stranger = await joinSession(B, another.senderCode)
    await decide(A, another, stranger.receiverCode, { decision: 'denied' })
    for (const each of [sender, another]) expect((await end(B, each)).status).toBe(204)
    stopTicking()
    for (const node of [A, B]) await node.tick()
    await A.close()
    await B.close()
    expect([...errors(A), ...errors(B)]).toEqual([])
    expect(await redis.command('ACL', 'LOG')).toEqual([])
  })

  test('wakes the other node by a channel, in whatever database: its socket hears of a join at once', async () => {
    const A = await start('/1')
    const B = await start('/1')
    const sender = await open(A)
    const S = await WireSocket.attach(A.url, sender)
    await joinSession(B, sender.senderCode)
    await S.until(() => S.view.receivers.length === 1)
    await A.close()
    await B.close()
    expect(await redis.command('ACL', 'LOG')).toEqual([])
  })

  for (const [what, command] of [
    ['all keys', ['KEYS', '*']],
    ['a key that is not the relay’s', ['GET', 'other:key']],
    ['another channel', ['PUBLISH', 'other', 'x']],
    ['the server’s settings', ['CONFIG', 'GET', '*']],
    ['everybody’s data', ['FLUSHALL']],
    ['another key through a script', ['EVAL', "return redis.call('GET', KEYS[1])", '1', 'other:key']],
  ] as const) {
    test(`refuses that user ${what}`, async () => {
      await expect(redis.commandAs({ username: 'relay', password: 'change-me' }, ...command)).rejects.toThrow('NOPERM')
    })
  }
})
