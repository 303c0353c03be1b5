import { afterAll, describe, expect, test } from 'vitest'
import { call, createSession, freshCode, join, openSession, pair, tryToJoin, type View } from './client.ts'
import { data } from './device.ts'
import { expectClosed, expectProblem, expectRefused, stateOf } from './documented.ts'
import { RawConnection } from './raw.ts'
import { hasNodes, hasSharedStore, isForeign, type Relay, startRelay } from './relay.ts'
import { fillWindow } from './windows.ts'

/**
 * PROTOCOL.md, sections 5.5, 5.7 and 7: a relay that is full, small or stopping. These need relays of their own, with
 * settings that make a little much; a relay that somebody else started is not asked.
 */
export function capacity(): void {
  const relays: Relay[] = []
  const start = async (settings: Record<string, string>) => {
    const relay = await startRelay(settings)
    relays.push(relay)
    return relay
  }
  afterAll(() => Promise.all(relays.map((relay) => relay.stop())))

  describe.skipIf(isForeign)('a relay that has no room', () => {
    test('a session beyond MAX_SESSIONS is at_capacity, and no live one makes room for it', async () => {
      const relay = await start({ MAX_SESSIONS: '2' })
      const [first, second] = [await openSession(relay), await openSession(relay)]
      const attacker = () => createSession(relay)
      await expectRefused('at_capacity', [first, second], attacker)
      await expectRefused('at_capacity', [first, second], attacker)
    })

    // A node of several promises nothing for a channel whose two ends are elsewhere.
    test.skipIf(hasNodes)('a join without memory for its handshake is at_capacity, an approval never is', async () => {
      const relay = await start({
        MEMORY_BUDGET_BYTES: String(2 * 65_568),
        MAX_FRAME_BYTES: '65568',
        WINDOW_BYTES: '65568',
      })
      const sender = await openSession(relay)
      const S = await sender.attach()
      const [first, second] = [await join(sender), await join(sender)]
      await expectRefused('at_capacity', [sender, first, second], () => tryToJoin(relay, sender.senderCode))
      await sender.approve(first)
      await second.leave()
      await S.nextView(({ receivers }) => receivers[1]?.state === 'left')
      await join(sender)
    })

    test('a channel has a full frame when both ends are attached and there is room: until then its writer waits, and the view tells', async () => {
      const frame = 65_568
      const relay = await start({
        MAX_FRAME_BYTES: String(frame),
        WINDOW_BYTES: String(frame),
        MEMORY_BUDGET_BYTES: String(3 * frame),
      })
      const sender = await openSession(relay)
      const [first, second] = [await join(sender), await join(sender)]
      await sender.approve(first, second)
      const S = await sender.attach()
      const windows = ({ channels }: View) => channels.map(({ window }) => window)
      expect(windows(await sender.view())).toEqual([4_096, 4_096])
      await first.attach()
      await S.nextView((view) => windows(view)[0] === frame)
      const R = await second.attach()
      await S.nextView(({ receivers }) => receivers[1].present === true)
      expect(windows(await sender.view())).toEqual([frame, 4_096])
      S.send(data(2, 1, 'what a waiting writer may send'))
      expect((await R.nextData()).seq).toBe(1)
      await first.leave()
      await S.nextView((view) => view.channels.some((row) => row.channel === 2 && row.window === frame))
    })

    test('a window does not grow past the memory there is', async () => {
      const frame = 65_568
      const relay = await start({
        MAX_FRAME_BYTES: String(frame),
        WINDOW_BYTES: String(4 * frame),
        MEMORY_BUDGET_BYTES: String(4 * frame),
        RATE_LIMIT: 'off',
      })
      const { sender, receiver, S } = await pair(relay)
      S.send(data(1, 1, Buffer.alloc(frame - 8)))
      await S.nextView(({ channels }) => channels[0].window === 2 * frame)
      S.send(data(1, 2, Buffer.alloc(frame - 8)), data(1, 2, 'a duplicate, to see that the other was taken'))
      await S.nextAck()
      expect((await sender.view()).channels).toEqual([{ channel: 1, received: 2, acked: 0, window: 2 * frame }])
      expect((await receiver.view()).channels).toMatchObject([{ window: frame }])
      S.send(data(1, 3, 'x'))
      await expectClosed(S, 'window_exceeded')
    })

    test('a window is capped at WINDOW_BYTES where doubling it would pass that', async () => {
      const frame = 65_568
      const relay = await start({ MAX_FRAME_BYTES: String(frame), WINDOW_BYTES: String(3 * frame) })
      const { sender, S } = await pair(relay)
      expect(await fillWindow(sender, S)).toEqual([frame, 2 * frame, 3 * frame])
    })

    test('more than the relay allows is granted at its maximum, and limits say so', async () => {
      const relay = await start({ SESSION_TTL_SECONDS: '60', MAX_SESSION_TTL_SECONDS: '120', MAX_RECEIVERS: '2' })
      const greedy = await openSession(relay, { ttlSeconds: 3_600, maxReceivers: 8 })
      expect(greedy.limits).toMatchObject({ ttlSeconds: 120, maxReceivers: 2 })
      expect(greedy.expiresInMs).toBe(120_000)
      const modest = await openSession(relay)
      expect(modest.limits).toMatchObject({ ttlSeconds: 60, maxReceivers: 2 })
      expect((await join(greedy)).limits).toEqual(greedy.limits)
    })
  })

  describe.skipIf(isForeign)('a relay that stops', () => {
    test('it shows every device the end, closes with going_away, and exits', async () => {
      const relay = await startRelay()
      const { sender, S, R } = await pair(relay)
      const held = sender.view(`?version=${(await sender.view()).version}&waitMs=20000`)
      const idle = await openSession(relay)
      const heldIdle = idle.view(`?version=${(await idle.view()).version}&waitMs=20000`)
      const unattached = await RawConnection.webSocket(relay, sender.sessionId)
      // Half a request, so that its connection is not idle and lives on while the relay stops.
      const late = await RawConnection.open(relay)
      const body = JSON.stringify({ clientId: freshCode(), senderCode: freshCode() })
      const head = 'POST /v1/sessions HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n'
      late.write(`${head}Content-Length: ${body.length}\r\n`)
      await call(relay, 'GET', '/readyz')
      const stopped = relay.stop()
      // A session that other nodes know continues without this one.
      const end = hasSharedStore ? { state: 'open' } : { state: 'closed', reason: 'shutting_down' }
      for (const device of [S, R]) {
        await expectClosed(device, 'going_away')
        expect(device.messages.filter(({ kind }) => kind === 'view').at(-1)).toMatchObject({ view: end })
      }
      expect(await unattached.closed()).toEqual({ code: 1001, reason: 'going_away' })
      expect(stateOf(await held)).toMatchObject(end)
      expect((await heldIdle).state).toBe(end.state)
      late.write(`\r\n${body}`)
      expectProblem(await late.answer(), 'going_away')
      expect(await stopped).toBe(0)
      expect(relay.failures).toEqual([])
    })
  })
}
