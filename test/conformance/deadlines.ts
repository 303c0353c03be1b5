import { describe, expect, test } from 'vitest'
import { startRelayProcess } from '../support/relay-process.ts'
import { isAlone } from '../support/setting.ts'
import { join, openSession, pair, type Sender } from './client.ts'
import { Device, data } from './device.ts'
import { expectClosed, expectProblem, stateOf } from './documented.ts'
import { RawConnection } from './raw.ts'
import { isForeign, type Relay } from './relay.ts'

/** Three times what the slowest of these takes. */
const PATIENCE_MS = 60_000
/** How long an end may be absent before its frames are forgotten. */
const ABSENCE_MS = 60_000

/**
 * PROTOCOL.md, sections 5.1 and 7: what comes too late. These deadlines take seconds, so they run from the moment this is
 * called, while the rest of the suite does its work. The function that comes back has the tests.
 */
export function startDeadlines(relay: Relay): () => void {
  const silent = start(async () => {
    const sender = await openSession(relay)
    const receiver = await join(sender)
    const before = stateOf(await sender.view())
    const attacker = await Device.open(relay, sender.sessionId)
    const since = performance.now()
    const attached = await receiver.attach()
    const closed = await attacker.closed(PATIENCE_MS).then(() => performance.now() - since)
    return { sender, before, attacker, attached, closedAfterMs: closed }
  })
  const absent = start(async () => {
    const sender = await openSession(relay)
    const since = performance.now()
    const [attacker, socket, polling] = [await join(sender), await join(sender), await join(sender)]
    await socket.attach()
    await polling.attachOverHttp()
    for (let version = ''; ; ) {
      const view = await sender.view(`?version=${version}&waitMs=4000`)
      const afterMs = performance.now() - since
      if (view.receivers[0].state !== 'pending' || afterMs > PATIENCE_MS) return { view, attacker, afterMs }
      version = view.version
    }
  })
  const lateHeaders = start(async () => {
    const attacker = await RawConnection.open(relay)
    attacker.write('GET /healthz HTTP/1.1\r\nHost: relay\r\nX-Never-Ends: ')
    return attacker.answer(PATIENCE_MS)
  })
  const lateBody = start(async () => {
    const attacker = await RawConnection.open(relay)
    const head =
      'POST /v1/sessions HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n'
    attacker.write(`${head}{"clientId":`)
    return attacker.answer(PATIENCE_MS)
  })

  const absentReader = start(async () => {
    const withClock = isForeign || !isAlone ? undefined : await startRelayProcess({ TRUST_PROXY: '127.0.0.1' })
    const { sender, receiver, S, R } = await pair(withClock ?? relay)
    const sent = [1, 2].map((seq) => data(1, seq, Buffer.alloc(1_000, seq)))
    S.send(...sent)
    await R.dataThrough(1, 2)
    R.cut()
    if (withClock) {
      await S.nextView(({ receivers }) => receivers[0].present === false)
      await withClock.advance(ABSENCE_MS - 5_000)
      const acks = S.count('ack')
      S.send(sent[0])
      await S.until(() => S.count('ack') > acks)
      await withClock.advance(5_000)
    }
    await untilForgotten(sender, S, sent[0])
    const again = await sender.attach()
    const [first] = again.messages
    again.send(...sent)
    const reader = await receiver.attach()
    const read = await reader.dataThrough(1, 2)
    await withClock?.stop()
    return { S, first, sent, read }
  })

  return () =>
    describe('what comes too late', () => {
      test('a socket that does not attach within 5 s is closed with attach_timeout, and costs nobody else', async () => {
        const { sender, before, attacker, attached, closedAfterMs } = await silent()
        await expectClosed(attacker, 'attach_timeout')
        expect(attacker.messages).toEqual([])
        expect(closedAfterMs).toBeGreaterThan(4_900)
        attached.send(data(1, 1, 'x'), data(1, 1, 'x'))
        expect(await attached.nextAck()).toBe('1/0')
        expect((await sender.view()).receivers).toMatchObject([{ ...before.receivers[0], present: true }])
      })

      test('R7: a pending receiver that nobody saw for 20 s has left, one on a socket or over HTTP has not', async () => {
        const { view, attacker, afterMs } = await absent()
        expect(view.receivers).toMatchObject([{ state: 'left' }, { state: 'pending' }, { state: 'pending' }])
        expect(afterMs).toBeGreaterThan(19_000)
        expect((await attacker.view()).receivers).toMatchObject([{ state: 'left' }])
      })

      test('a request whose headers do not end is request_timeout', async () => {
        expectProblem(await lateHeaders(), 'request_timeout')
      })

      test('a request whose body does not end is request_timeout', async () => {
        expectProblem(await lateBody(), 'request_timeout')
      })

      test(
        'R15: of an end that is absent for 60 s the relay forgets the frames, and its channel resumes',
        async () => {
          const { S, first, sent, read } = await absentReader()
          await expectClosed(S, 'resume_required')
          expect(first).toMatchObject({ view: { channels: [{ channel: 1, received: 0, acked: 0 }] } })
          expect(read).toEqual(sent)
        },
        5 * PATIENCE_MS,
      )
    })
}

/** Starts at once; the function that comes back waits for the end, or throws what went wrong. */
function start<T>(work: () => Promise<T>): () => Promise<T> {
  const outcome = work().then(
    (value) => () => value,
    (error: unknown) => () => {
      throw error
    },
  )
  return async () => (await outcome)()
}

/** Sends a frame again, after each long poll, until the relay has forgotten its direction and closes the socket. */
async function untilForgotten(sender: Sender, S: Device, frame: Buffer): Promise<void> {
  for (let isThere = true; isThere; ) {
    const { version } = await sender.view()
    await sender.view(`?version=${version}&waitMs=4000`)
    S.send(frame)
    isThere = await S.nextAck().then(
      () => true,
      () => false,
    )
  }
}
