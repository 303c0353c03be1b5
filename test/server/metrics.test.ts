import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { metricsServer } from '../../src/server/metrics/endpoint.ts'
import { RelayMetrics } from '../../src/server/metrics/relay-metrics.ts'
import { observeSessions, type SessionEnd } from '../../src/store/observed-sessions.ts'
import { TestRelay } from '../support/relay.ts'

/** A relay whose sessions are observed. */
function observed() {
  const heard: string[] = []
  const ends: SessionEnd[] = []
  const node = new TestRelay({
    wrapSessions: (store) =>
      observeSessions(store, {
        created: () => heard.push('created'),
        joined: () => heard.push('joined'),
        attached: (via, again) => heard.push(`${via}${again ? ' again' : ''}`),
        ended: (outcome, ms) => heard.push(`${outcome} ${ms}`),
        closed: (end) => ends.push(end),
      }),
  })
  return { node, heard, ends }
}

function metricsOf(isRedisUp?: () => boolean) {
  const figures = () => ({ sessions: 3, pending: 2, approved: 1, sockets: 4, polls: 5, grantedBytes: 600 })
  return new RelayMetrics({ figures, budgetBytes: 1_000, isRedisUp, observesProcess: true })
}

test('an observer hears each change of a session once', async () => {
  const { node, heard, ends } = observed()
  const sender = await node.open({ maxReceivers: 2, ttlSeconds: 60 })
  const first = await node.join(sender.senderCode)
  const second = await node.join(sender.senderCode)
  node.clock.advance(1_500)
  const decide = (receiverCode: string, decision: 'approved' | 'denied') =>
    node.relay.decide(sender.sessionId, sender.token, receiverCode, { decision })
  await decide(first.receiverCode, 'approved')
  await decide(first.receiverCode, 'approved')
  await decide(second.receiverCode, 'denied')
  node.clock.advance(500)
  await node.relay.endReceiver(first.sessionId, first.token, first.receiverCode)
  await node.relay.closeSession(sender.sessionId, sender.token)
  expect(heard).toEqual(['created', 'joined', 'joined', 'approved 1500', 'rejected 1500', 'done 2000'])
  const { sessionId } = sender
  expect(ends).toEqual([{ sessionId, outcome: 'completed', ms: 2_000, approved: 1, done: 1, joins: 2 }])
})

test('a session that expires ends its receivers, and lasts no longer than its time', async () => {
  const { node, heard, ends } = observed()
  const sender = await node.open({ ttlSeconds: 60 })
  await node.attach(sender)
  await node.attach(await node.join(sender.senderCode))
  node.clock.advance(61_000)
  await node.tick()
  await node.tick()
  expect(heard).toEqual(['created', 'socket', 'joined', 'socket', 'session_ended 61000'])
  expect(ends).toMatchObject([{ outcome: 'expired', ms: 60_000, approved: 0 }])
})

test('a role that attaches again is told from one that attaches', async () => {
  const { node, heard } = observed()
  const sender = await node.open()
  const receiver = await node.join(sender.senderCode)
  for (let i = 0; i < 2; i++) {
    await node.attach(receiver)
    await node.attach(sender)
  }
  expect(heard.slice(2)).toEqual(['socket', 'socket', 'socket again', 'socket again'])
})

test('metrics have what was counted, and what there is when somebody asks', async () => {
  const metrics = metricsOf(() => false)
  metrics.created()
  metrics.attached('http', true)
  metrics.relayed(1_000)
  metrics.relayed(24)
  metrics.refused('rate_limited')
  metrics.ended('approved', 4_000)
  const { body } = await metrics.text()
  for (const line of [
    'sessions_created_total 1',
    'attaches_total{via="http"} 1',
    'reconnects_total 1',
    'frames_total 2',
    'frame_bytes_total 1024',
    'refusals_total{code="rate_limited"} 1',
    'receivers_total{outcome="approved"} 1',
    'approval_seconds_sum 4',
    'sessions 3',
    'budget_free_bytes 400',
    'redis_up 0',
  ])
    expect(body).toContain(`\npairlay_${line}\n`)
  expect(body).toMatch(/\nprocess_open_fds \d+\n/)
})

test('an attacker cannot make metrics grow: labels have the values of a table alone', async () => {
  const { node } = observed()
  const metrics = metricsOf()
  const attacker = await node.open({ clientId: 'attacker' })
  for (let i = 0; i < 50; i++) {
    metrics.created()
    metrics.closed({
      sessionId: attacker.sessionId,
      outcome: 'closed_by_sender',
      ms: i,
      approved: 0,
      done: 0,
      joins: i,
    })
    metrics.ended('left', i)
  }
  const { body } = await metrics.text()
  expect(body).not.toMatch(/attacker/)
  const labels = [...body.matchAll(/^pairlay_\w+\{(\w+)=/gm)].map(([, label]) => label)
  expect([...new Set(labels)].sort()).toEqual(['le', 'outcome'])
})

test('metrics are served at their own path of their own server, and nothing else is', async () => {
  const server = metricsServer(metricsOf())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const answer = await fetch(`${url}/metrics`)
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=/)
  expect(await answer.text()).toContain('# TYPE pairlay_sessions gauge')
  const others = [fetch(url), fetch(`${url}/metrics`, { method: 'POST' }), fetch(`${url}/metrics?x`)]
  expect((await Promise.all(others)).map(({ status }) => status)).toEqual([404, 404, 404])
  server.close()
  server.closeAllConnections()
})
