import { describe, expect, test } from 'vitest'
import { HttpSocket } from '../../../src/client/link/http-socket.ts'
import { sendOn } from '../../../src/client/link/socket.ts'
import type { HttpErrorCode } from '../../../src/protocol/errors.ts'
import { decodeFrame, encodeAck, encodeData, FRAME_ACK } from '../../../src/protocol/frame.ts'
import type { ReceiverRow, View } from '../../../src/protocol/view.ts'
import { type FakeCall, FakeHttp } from '../fake-http.ts'
import { settled } from '../fake-time.ts'
import { channelRow, VIEW } from '../fake-web-socket.ts'
import { FakeWorld } from '../support.ts'

const TOKEN = 'T'.repeat(43)
const SESSION_URL = `https://relay.example/base/v1/sessions/${'A'.repeat(22)}`

const rowOf = (channel: number, change: Partial<ReceiverRow> = {}): ReceiverRow => ({
  receiverCode: `CODE${channel}`,
  channel,
  state: 'approved',
  publicKey: 'A'.repeat(43),
  present: true,
  ...change,
})

/** A view of these channels, each with a live receiver. */
function viewOf(channels: View['channels'] = [], change: Partial<View> = {}): View {
  return { ...VIEW, receivers: channels.map(({ channel }) => rowOf(channel)), channels, ...change }
}

function openSocket() {
  const world = new FakeWorld()
  const http = new FakeHttp(world.time.now)
  world.fetch = http.fetch
  const socket = new HttpSocket(SESSION_URL, world.environment)
  const said: (View | string)[] = []
  const closes: number[] = []
  let opens = 0
  socket.onopen = () => void opens++
  socket.onclose = ({ code }) => void closes.push(code)
  socket.onmessage = ({ data }) => {
    if (typeof data === 'string') return void said.push(JSON.parse(data))
    const { type, channel, seq } = decodeFrame(data as Uint8Array)
    said.push(`${type === FRAME_ACK ? 'ack' : 'data'} ${channel}/${seq}`)
  }
  /** Events since the last look: frames, and `view` for a view. */
  const heard = () => said.splice(0).map((each) => (typeof each === 'string' ? each : 'view'))
  return { world, http, socket, said, heard, closes, opens: () => opens }
}

/** A view of one channel for which nothing has come. */
const quiet = (change: Partial<View> = {}) => viewOf([channelRow({ available: 0 })], change)
/** The row of a channel for which one frame has come. */
const ONE = [channelRow({ available: 1 })]

/** Lets a socket attach, and gives the call. */
async function attaching({ socket, http }: ReturnType<typeof openSocket>, channels: object[] = []) {
  await settled()
  socket.send(JSON.stringify({ type: 'attach', token: TOKEN, channels }))
  return http.one('PUT /attachment')
}

/** A socket that has attached and polls. */
async function attachedSocket({ rows = [channelRow({ available: 0 })], claims = [] as object[] } = {}) {
  const opened = openSocket()
  await (await attaching(opened, claims)).answer(viewOf(rows))
  opened.heard()
  return opened
}

/** A socket that has been told of a frame, and has one of its own under way. */
async function busySocket() {
  const attached = await attachedSocket({ rows: ONE })
  attached.socket.send(encodeData(1, 1, filled(1, 1)))
  return attached
}

/** Lets a poll bring these rows, with a new version. The next poll follows. */
let versions = 1
async function poll(
  { http, world }: ReturnType<typeof openSocket>,
  rows: View['channels'],
  change: Partial<View> = {},
) {
  await http.one('poll').answer(viewOf(rows, { version: `v${++versions}`, ...change }))
  await world.time.advance(10)
}

const filled = (length: number, fill: number) => new Uint8Array(length).fill(fill)

describe('attaching', () => {
  test('no secret is in any URL', async () => {
    const attached = await attachedSocket({ rows: ONE })
    attached.socket.send(encodeData(1, 1, filled(9, 1)))
    attached.socket.send(encodeAck(1, 1))
    expect(attached.http.calls.length).toBeGreaterThan(3)
    for (const { path, init } of attached.http.calls) {
      expect(path).not.toContain(TOKEN)
      expect((init.headers as Record<string, string>).authorization).toBe(`Bearer ${TOKEN}`)
    }
  })
})

describe('polling', () => {
  test('one poll follows the other, each with what is known', async () => {
    const attached = await attachedSocket({ rows: [channelRow({ acked: 3, received: 3, available: 0 })] })
    const { http, heard } = attached
    const first = http.one('poll')
    expect(first.path).toBe('?version=1&channels=1.0.3&waitMs=25000')
    await first.answer(viewOf([channelRow({ acked: 4, received: 5, available: 0 })], { version: 'a&b' }))
    expect(heard()).toEqual(['view', 'ack 1/4'])
    await attached.world.time.advance(10)
    expect(http.one('poll').path).toBe('?version=a%26b&channels=1.0.4&waitMs=25000')
  })

  test('an attacker that answers at once with nothing new is asked once a second, until the socket is closed', async () => {
    const { http: attacker, socket, world } = await attachedSocket()
    for (let i = 0; i < 10; i++) {
      await attacker.one('poll').answer(quiet())
      await world.time.advance(999)
      expect(attacker.open).toEqual([])
      await world.time.advance(1)
    }
    await attacker.one('poll').answer(quiet())
    socket.close()
    expect(world.time.outstanding).toBe(0)
  })

  test('one may take 40 s', async () => {
    const { world, closes } = await attachedSocket()
    await world.time.advance(39_999)
    expect(closes).toEqual([])
    await world.time.advance(1)
    expect(closes).toEqual([1006])
  })

  test('an attacker that has something new at once is asked 100 times a second at most', async () => {
    const { http: attacker, world } = await attachedSocket()
    await attacker.one('poll').answer(quiet({ version: '2' }))
    await world.time.advance(9)
    expect(attacker.open).toEqual([])
    await world.time.advance(1)
    await world.time.advance(10_000)
    await attacker.one('poll').answer(quiet({ version: '3' }))
    expect(attacker.open).toEqual(['poll'])
  })
})

describe('own frames', () => {
  test('count as buffered, header and all, until the relay has taken them', async () => {
    const { http, socket } = await attachedSocket()
    socket.send(encodeData(1, 1, filled(92, 1)))
    socket.send(encodeData(1, 2, filled(192, 1)))
    expect(socket.bufferedAmount).toBe(300)
    await http.one('PUT 1/1').answer({ received: 1, acked: 0, window: 4096 })
    expect(socket.bufferedAmount).toBe(200)
    await http.one('PUT 1/2').answer({ received: 2, acked: 0, window: 4096 })
    expect(socket.bufferedAmount).toBe(0)
  })

  test('the answer tells of acks, and of a window that grew, which no poll is answered for', async () => {
    const { http, socket, heard, said } = await attachedSocket()
    socket.send(encodeData(1, 1, filled(1, 1)))
    await http.one('PUT 1/1').answer({ received: 1, acked: 1, window: 8192 })
    expect(said[1]).toEqual(viewOf([channelRow({ window: 8192, available: 0 })]))
    expect(heard()).toEqual(['ack 1/1', 'view'])
    socket.send(encodeData(1, 2, filled(1, 1)))
    await http.one('PUT 1/2').answer({ received: 2, acked: 1, window: 8192 })
    expect(heard()).toEqual([])
    expect(http.one('poll').path).toContain('channels=1.0.0&')
  })

  test('an ack that a poll tells of after an answer did is told once', async () => {
    const attached = await attachedSocket()
    attached.socket.send(encodeData(1, 1, filled(1, 1)))
    await attached.http.one('PUT 1/1').answer({ received: 1, acked: 1, window: 4096 })
    attached.heard()
    await poll(attached, [channelRow({ received: 1, acked: 1, available: 0 })])
    await poll(attached, [channelRow({ received: 1, acked: 0, available: 0 })])
    expect(attached.heard()).toEqual(['view', 'view'])
  })

  test('no more than four calls about frames are under way, and channels take turns', async () => {
    const channels = [1, 2, 3, 4, 5, 6]
    const { http, socket } = await attachedSocket({
      rows: channels.map((channel) => channelRow({ channel, available: 0 })),
    })
    for (const seq of [1, 2]) for (const channel of channels) socket.send(encodeData(channel, seq, filled(1, 1)))
    expect(http.open).toEqual(['poll', 'PUT 1/1', 'PUT 2/1', 'PUT 3/1', 'PUT 4/1'])
    for (const channel of [1, 2]) await http.one(`PUT ${channel}/1`).answer({ received: 1, acked: 0, window: 4096 })
    expect(http.open).toEqual(['poll', 'PUT 3/1', 'PUT 4/1', 'PUT 5/1', 'PUT 6/1'])
  })

  test('each is reported when its call begins, and not while it waits for the one before', async () => {
    const { socket, http } = await attachedSocket()
    const left: number[] = []
    for (const seq of [1, 2]) socket.sendWhenDue(encodeData(1, seq, filled(1, seq)), () => left.push(seq))
    const first = http.one('PUT 1/1')
    expect(left).toEqual([1])
    await first.answer({ received: 1, acked: 0, window: 1000 })
    http.one('PUT 1/2')
    expect(left).toEqual([1, 2])
  })

  test('each is reported, also when a frame of its number is fetched before', async () => {
    const claims = [{ channel: 1, received: 1 }]
    const attached = await attachedSocket({ rows: [channelRow({ available: 1 })], claims })
    const { socket, http } = attached
    const left: number[] = []
    for (const seq of [1, 2]) socket.sendWhenDue(encodeData(1, seq, filled(1, seq)), () => left.push(seq))
    await poll(attached, [channelRow({ available: 2 })])
    http.one('GET 1/2')
    await http.one('PUT 1/1').answer({ received: 1, acked: 0, window: 1000 })
    http.one('PUT 1/2')
    expect(left).toEqual([1, 2])
  })

  test('each is reported, also when an ack of its number is said before its call begins', async () => {
    const { socket, http } = await attachedSocket()
    const left: number[] = []
    for (const seq of [1, 2]) sendOn(socket, encodeData(1, seq, filled(1, seq)), () => left.push(seq))
    sendOn(socket, encodeAck(1, 2))
    await http.one('PUT 1/1').answer({ received: 1, acked: 0, window: 1000 })
    http.one('PUT 1/2')
    expect(left).toEqual([1, 2])
  })

  test('one may take 60 s', async () => {
    const { http, world, socket, closes } = await attachedSocket()
    socket.send(encodeData(1, 1, filled(1, 1)))
    for (const version of ['2', '3']) {
      await world.time.advance(29_999)
      await http.one('poll').answer(quiet({ version }))
    }
    expect(closes).toEqual([])
    await world.time.advance(2)
    expect(closes).toEqual([1006])
  })
})

describe('frames of the other side', () => {
  test('are fetched one after the other, as far as the relay says, and come with a header', async () => {
    const attached = await attachedSocket({ rows: [channelRow({ available: 2 })] })
    const { http, heard } = attached
    expect(http.open).toEqual(['poll', 'GET 1/1'])
    expect(http.one('poll').path).toContain('channels=1.2.0&')
    await http.one('GET 1/1').bytes(filled(5, 7))
    expect(http.open).toEqual(['poll', 'GET 1/2'])
    await http.one('GET 1/2').bytes(filled(5, 8))
    expect(http.open).toEqual(['poll'])
    expect(heard()).toEqual(['data 1/1', 'data 1/2'])
    await poll(attached, [channelRow({ available: 3 })])
    expect(http.open).toEqual(['poll', 'GET 1/3'])
  })

  test('go on from where the attach said', async () => {
    const claims = [{ channel: 1, received: 7, acked: 0 }]
    const { http } = await attachedSocket({ rows: [channelRow({ available: 9 })], claims })
    expect(http.open).toEqual(['poll', 'GET 1/8'])
  })

  test('one that is not there after all is asked for when a poll tells of it again', async () => {
    const attached = await attachedSocket({ rows: ONE })
    await attached.http.one('GET 1/1').answer(undefined)
    expect(attached.http.open).toEqual(['poll'])
    expect(attached.heard()).toEqual([])
    await poll(attached, [channelRow({ available: 1 })])
    await attached.http.one('GET 1/1').bytes(filled(1, 1))
    expect(attached.heard()).toEqual(['view', 'data 1/1'])
  })

  test('acks are told one at a time, the latest only', async () => {
    const { http, socket } = await attachedSocket()
    for (const seq of [1, 2, 3]) socket.send(encodeAck(1, seq))
    expect(http.open).toEqual(['poll', 'DELETE 1/1'])
    expect(socket.bufferedAmount).toBeGreaterThan(0)
    await http.one('DELETE 1/1').answer(undefined)
    expect(http.open).toEqual(['poll', 'DELETE 1/3'])
    await http.one('DELETE 1/3').answer(undefined)
    expect(http.open).toEqual(['poll'])
    expect(socket.bufferedAmount).toBe(0)
  })
})

describe('a channel that ends', () => {
  const ended = { receivers: [rowOf(1, { state: 'done' })] }

  test('leaves nothing queued, and what is said on it later is discarded', async () => {
    const attached = await attachedSocket()
    for (const seq of [1, 2]) attached.socket.send(encodeData(1, seq, filled(100, 1)))
    await poll(attached, [], ended)
    expect(attached.socket.bufferedAmount).toBe(0)
    attached.socket.send(encodeData(1, 3, filled(1, 1)))
    attached.socket.send(encodeAck(1, 1))
    await attached.http.one('PUT 1/1').answer({ received: 1, acked: 0, window: 4096 })
    expect(attached.http.open).toEqual(['poll'])
    expect(attached.closes).toEqual([])
  })

  test.each(['receiver_gone', 'session_gone'] as const)(
    'may be learned from %s first: the view tells how, and nothing is said on it meanwhile',
    async (code) => {
      for (const name of ['PUT 1/1', 'GET 1/1', 'DELETE 1/5']) {
        const attached = await busySocket()
        attached.socket.send(encodeAck(1, 5))
        await attached.http.one(name).refuse(code)
        attached.socket.send(encodeData(1, 2, filled(1, 1)))
        expect(attached.socket.bufferedAmount).toBe(0)
        await poll(attached, [], ended)
        expect(attached.heard()).toContain('view')
        expect(attached.closes).toEqual([])
      }
    },
  )
})

describe('a relay that has forgotten', () => {
  test.each<[string, View['channels'], Partial<View>]>([
    ['a channel that is live', [], { receivers: [rowOf(1)] }],
    ['an own frame that it had taken', [channelRow({ received: 0, available: 1 })], {}],
    ['a frame of the other side that was there', [channelRow({ received: 1, available: 0 })], {}],
  ])('%s is attached to anew', async (_, rows, change) => {
    const attached = await busySocket()
    await attached.http.one('PUT 1/1').answer({ received: 1, acked: 0, window: 4096 })
    await poll(attached, [channelRow({ received: 1, available: 1 })])
    attached.heard()
    await poll(attached, rows, change)
    expect(attached.closes).toEqual([4409])
    expect(attached.heard()).toEqual([])
  })

  test('is not one whose answer was on its way while a frame was taken', async () => {
    const attached = await attachedSocket()
    const { http, socket } = attached
    socket.send(encodeData(1, 1, filled(1, 1)))
    await http.one('PUT 1/1').answer({ received: 1, acked: 0, window: 4096 })
    await poll(attached, [channelRow({ received: 0, available: 0 })])
    expect(attached.closes).toEqual([])
  })

  test('nor is one that ended the channel, or the session', async () => {
    const over = await attachedSocket()
    await poll(over, [], { receivers: [rowOf(1, { state: 'revoked' })] })
    expect(over.closes).toEqual([])
    const closed = await attachedSocket()
    await poll(closed, [], { state: 'closed', receivers: [rowOf(1)] })
    expect(closed.closes).toEqual([])
  })
})

describe('the end of the socket', () => {
  const codes: [HttpErrorCode, number][] = [
    ['invalid_frame', 4400],
    ['unauthorized', 4401],
    ['forbidden', 4403],
    ['session_not_found', 4404],
    ['internal', 1011],
    ['unavailable', 1013],
    ['going_away', 1001],
    ['resume_required', 4409],
    ['superseded', 4001],
    ['frame_refused', 1006],
    ['invalid_request', 1006],
    ['not_found', 1006],
    ['receiver_not_found', 1006],
    ['request_timeout', 1006],
    ['body_too_large', 1006],
  ]

  test.each(codes)('%s closes it with %d, whatever was asked', async (code, closeCode) => {
    for (const name of ['poll', 'PUT 1/1', 'GET 1/1', 'DELETE 1/1']) {
      const { http, socket, closes, world } = await busySocket()
      socket.send(encodeAck(1, 1))
      await http.one(name).refuse(code)
      expect(closes).toEqual([closeCode])
      expect(http.open).toEqual([])
      expect(world.time.outstanding).toBe(0)
    }
    const opened = openSocket()
    await (await attaching(opened)).refuse(code)
    expect(opened.closes).toEqual([closeCode])
  })

  /** A relay's own refusal, and what proxies answer that limit rates. */
  const REFUSALS_OF_RATE: Readonly<Record<string, (call: FakeCall) => Promise<void>>> = {
    rate_limited: (call) => call.refuse('rate_limited'),
    'a page with 429': (call) => call.answer('<p>', { status: 429 }),
    'a page with 503': (call) => call.answer('<p>', { status: 503 }),
  }

  test.each(Object.entries(REFUSALS_OF_RATE))(
    '%s does not: the call is made again, later each time',
    async (_, refuse) => {
      const { http, socket, closes, heard, world } = await busySocket()
      for (const ms of [250, 500, 1_000]) {
        await refuse(http.one('PUT 1/1'))
        await world.time.advance(ms - 1)
        expect(http.open).not.toContain('PUT 1/1')
        await world.time.advance(1)
      }
      await http.one('PUT 1/1').answer({ received: 1, acked: 1, window: 4096 })
      expect([closes, heard()]).toEqual([[], ['ack 1/1']])
      await refuse(http.one('poll'))
      socket.close()
      await settled()
      expect([closes, world.time.outstanding]).toEqual([[1005], 0])
    },
  )

  test('a limit on rates that refuses a call six times closes it with 1006, and a proxy without a relay is waited for as long', async () => {
    const { http, closes, world } = await attachedSocket()
    for (let tries = 1; tries <= 6; tries++) {
      expect(closes).toEqual([])
      await http.one('poll').answer('<p>', { status: 503 })
      await world.time.advance(10_000)
    }
    expect(closes).toEqual([1006])
  })

  test('session_gone closes it with 4410 when it attaches or polls', async () => {
    const { http, closes } = await attachedSocket()
    await http.one('poll').refuse('session_gone')
    expect(closes).toEqual([4410])
  })

  test('a code that nobody knows, and no answer, are 1006', async () => {
    for (const code of ['teapot', 'constructor']) {
      const odd = await attachedSocket()
      const teapot = { type: 'about:blank', title: 'No', status: 418, code, retryable: false }
      await odd.http.one('poll').answer(teapot, { status: 418 })
      expect(odd.closes).toEqual([1006])
    }
    const lost = await attachedSocket()
    await lost.http.one('poll').fail()
    expect(lost.closes).toEqual([1006])
  })

  test('closing it aborts what is under way, stops its timers, and is told once, as 1005', async () => {
    const { http, socket, closes, world } = await busySocket()
    const calls = ['poll', 'GET 1/1', 'PUT 1/1'].map((name) => http.one(name))
    socket.close()
    socket.close()
    expect(closes).toEqual([])
    await settled()
    expect(closes).toEqual([1005])
    expect(calls.map(({ aborted }) => aborted)).toEqual([true, true, true])
    expect(world.time.outstanding).toBe(0)
    socket.send(encodeData(1, 2, filled(1, 1)))
    socket.send(JSON.stringify({ token: TOKEN, channels: [] }))
    await world.time.advance(60_000)
    expect(http.calls).toHaveLength(4)
  })

  test('one that is closed by its owner on a view says nothing more, and asks for nothing', async () => {
    const attached = await attachedSocket()
    const seen: unknown[] = []
    attached.socket.onmessage = ({ data }) => {
      seen.push(data)
      attached.socket.close()
    }
    await attached.http.one('poll').answer(viewOf([channelRow({ received: 1, acked: 1, available: 5 })]))
    expect(seen).toHaveLength(1)
    expect(attached.http.open).toEqual([])
    expect(attached.world.time.outstanding).toBe(0)
  })

  test('one that is closed before it opened never opens', async () => {
    const { socket, opens } = openSocket()
    socket.close()
    await settled()
    expect(opens()).toBe(0)
  })
})

describe('an attacker in the place of the relay', () => {
  const page = '<html>Welcome</html>'

  test.each<[string, (http: FakeHttp) => Promise<void>]>([
    ['a page for a frame', (http) => http.one('GET 1/1').bytes(Buffer.from(page), 'text/html')],
    ['a frame without a type', (http) => http.one('GET 1/1').bytes(filled(1, 1), '')],
    ['a frame of no bytes', (http) => http.one('GET 1/1').bytes(filled(0, 1))],
    ['a frame of more than 1 MiB', (http) => http.one('GET 1/1').bytes(filled(1_048_577, 1))],
    ['a page for a view', (http) => http.one('poll').bytes(Buffer.from(page), 'text/html')],
    ['a view that is none', (http) => http.one('poll').answer({ ...VIEW, role: 'admin' })],
    ['a view of 33 channels', (http) => http.one('poll').answer(viewOf(Array(33).fill(channelRow())))],
    ['a view of 64 KiB', (http) => http.one('poll').answer({ ...VIEW, more: 'x'.repeat(65_536) })],
    ['no view', (http) => http.one('poll').answer(undefined)],
    ['a position that is none', (http) => http.one('PUT 1/1').answer({ received: 1, acked: -1, window: 0 })],
    ['no position', (http) => http.one('PUT 1/1').answer(undefined)],
  ])('that gives %s has said nothing: the socket closes as lost', async (_, answer) => {
    const attacker = await busySocket()
    await answer(attacker.http)
    expect(attacker.closes).toEqual([1006])
    expect(attacker.heard()).toEqual([])
    expect(attacker.http.open).toEqual([])
  })
})

describe('the name of an attach', () => {
  test('goes with every call behind it', async () => {
    const opened = openSocket()
    const view = viewOf(ONE)
    await (await attaching(opened)).answer({ ...view, attachment: 'Ab_-9' })
    opened.socket.send(encodeData(1, 1, filled(9, 1)))
    opened.socket.send(encodeAck(1, 1))
    await settled()
    const paths = opened.http.calls.slice(1).map(({ path }) => path)
    expect(paths).toHaveLength(4)
    for (const path of paths) expect(path).toMatch(/[?&]attachment=Ab_-9$/)
    expect(opened.said[0]).toEqual(view)
  })

  test('that is no name is no answer of a relay', async () => {
    const opened = openSocket()
    await (await attaching(opened)).answer({ ...viewOf(), attachment: 'a&b=c' })
    expect(opened.closes).toEqual([1006])
  })
})

describe('what nobody foresaw', () => {
  test('half of a surrogate pair as the version is no view, and throws nothing', async () => {
    const opened = openSocket()
    const closes: unknown[] = []
    opened.socket.onclose = ({ code, error }) => void closes.push([code, error])
    await (await attaching(opened)).answer({ ...viewOf(), version: '\ud800' })
    expect(closes).toEqual([[1006, undefined]])
  })

  test('closes the socket with the error, and rejects nothing that nobody holds', async () => {
    const opened = openSocket()
    const errors: unknown[] = []
    opened.socket.onclose = ({ error }) => void errors.push(error)
    opened.socket.onmessage = () => {
      throw new URIError('malformed')
    }
    await (await attaching(opened)).answer(viewOf())
    expect(errors).toEqual([new URIError('malformed')])
  })

  test('a frame that is refused, too large, or cut is named with the close', async () => {
    const ends: [(call: ReturnType<FakeHttp['one']>) => Promise<void>, string | undefined][] = [
      [(call) => call.refuse('frame_refused'), 'refused'],
      [(call) => call.refuse('body_too_large'), 'too_large'],
      [(call) => call.refuse('request_timeout'), 'too_large'],
      [(call) => call.answer('<html>', { status: 413 }), 'too_large'],
      [(call) => call.answer('<html>', { status: 400 }), 'too_large'],
      [(call) => call.fail(), 'cut'],
      [(call) => call.answer('<html>', { status: 502 }), undefined],
    ]
    for (const [end, how] of ends) {
      const { http, socket } = await attachedSocket()
      const frames: unknown[] = []
      socket.onclose = ({ frame }) => void frames.push(frame?.how)
      socket.send(encodeData(1, 1, filled(9, 1)))
      await end(http.one('PUT 1/1'))
      expect(frames).toEqual([how])
    }
  })
})
