import { describe, expect, test } from 'vitest'
import { attach, dropAndWait, FakeWorld, fail, frameOf, SESSION, startedConnection } from '../support.ts'

/** When a connection goes on over HTTP, and that its app hears of it once. */

/** A connection with a channel. */
function started(world = new FakeWorld()) {
  const made = startedConnection({ world })
  return { ...made, channel: made.connection.channel(1) }
}

/** Sockets opened so far: W for a WebSocket, H for one over HTTP. */
function opened({ sockets }: FakeWorld): string {
  return sockets.map(({ protocol }) => (protocol === 'over HTTP' ? 'H' : 'W')).join('')
}

describe('where no WebSocket passes', () => {
  test('the third attempt is over HTTP, at once, to the same session, and the app is told', async () => {
    const { world, statuses: told } = started()
    world.jitter = 1
    world.socket.drop()
    await world.time.advance(250)
    world.socket.drop()
    await world.time.advance(0)
    expect(opened(world)).toBe('WWH')
    expect(world.socket.url).toBe(`https://relay.example/base/v1/sessions/${SESSION}`)
    expect(world.sockets[0].url).toBe(`wss://relay.example/base/v1/sessions/${SESSION}/socket`)
    expect(told).toEqual(['reconnecting'])
    attach(world)
    expect(told).toEqual(['reconnecting', 'fallback', 'connected'])
  })

  test('it stays on HTTP, whatever happens to it then, and the app is told no second time', async () => {
    const { world, statuses: told } = started()
    await fail(world, 2)
    attach(world)
    await fail(world, 3)
    attach(world)
    await world.time.advance(5_000)
    await fail(world)
    attach(world)
    expect(opened(world)).toBe('WWHHHHH')
    expect(told.filter((each) => each === 'fallback')).toHaveLength(1)
  })

  test('over HTTP it backs off as on WebSockets', async () => {
    const { world } = started()
    await fail(world, 2)
    attach(world)
    await world.time.advance(3_000)
    world.jitter = 1
    for (const ms of [250, 500, 1_000]) expect(await dropAndWait(world)).toBe(ms)
  })

  test('a runtime that has none, or does not let it be used, is such a place', async () => {
    const world = new FakeWorld()
    const openWebSocket = () => {
      throw new ReferenceError('WebSocket is not defined')
    }
    Object.assign(world.environment, { openWebSocket })
    const { statuses: told } = started(world)
    await world.time.advance(0)
    await world.time.advance(0)
    expect(opened(world)).toBe('H')
    attach(world)
    expect(told).toEqual(['reconnecting', 'fallback', 'connected'])
  })

  test('a proxy that takes the upgrade and never answers is such a place after 20 s', async () => {
    const { world } = started()
    await world.time.advance(10_000)
    world.socket.open()
    await world.time.advance(9_999)
    expect(opened(world)).toBe('WW')
    await world.time.advance(1)
    expect(opened(world)).toBe('WWH')
  })

  test('so is one that lets sockets attach and kills them within 3 s', async () => {
    const { world } = started()
    for (const ms of [0, 2_999]) {
      attach(world)
      await world.time.advance(ms)
      await fail(world)
    }
    expect(opened(world)).toBe('WWH')
  })

  test.each([1001, 1011, 4408])('so is one that ends them with %d before any view', async (code) => {
    const { world } = started()
    for (let i = 0; i < 2; i++) {
      world.socket.open()
      await fail(world, 1, code)
    }
    expect(opened(world)).toBe('WWH')
  })

  test('frames that were not acked are sent again over HTTP, byte for byte', async () => {
    const { world, channel } = started()
    attach(world)
    await channel.send(frameOf(300, 1))
    const [{ bytes }] = world.socket.frames
    await fail(world, 2)
    attach(world)
    expect(opened(world)).toBe('WWH')
    expect(world.socket.frames.map((frame) => frame.bytes)).toEqual([bytes])
  })
})

describe('where WebSockets have passed', () => {
  test('eight have to die in a row: after one that lived for 3 s', async () => {
    const { world } = started()
    attach(world)
    await world.time.advance(3_000)
    await fail(world, 8)
    expect(opened(world)).toBe('WWWWWWWWW')
    await fail(world)
    expect(opened(world)).toBe('WWWWWWWWWH')
  })

  test('or after one that carried something, though it died soon', async () => {
    const { world, statuses: told } = started()
    attach(world)
    world.socket.data(1, 1, new Uint8Array(1))
    await fail(world, 7)
    expect(opened(world)).toBe('WWWWWWWW')
    await fail(world)
    expect(opened(world)).toBe('WWWWWWWWH')
    attach(world)
    expect(told).toContain('fallback')
  })

  test('a relay that says why it closes was heard: however often it does so, no proxy is in the way', async () => {
    const { world } = started()
    for (const code of [1001, 1013, 1011, 1001, 1013]) {
      attach(world)
      await fail(world, 1, code)
    }
    expect(opened(world)).toBe('WWWWWW')
  })

  test('one that lives starts the count anew, one that carries something and dies does not', async () => {
    const { world } = started()
    attach(world)
    await world.time.advance(3_000)
    await fail(world, 5)
    attach(world)
    world.socket.data(1, 1, new Uint8Array(1))
    await fail(world, 3)
    expect(opened(world)).toBe('WWWWWWWWW')
    attach(world)
    await world.time.advance(3_000)
    await fail(world, 8)
    expect(opened(world)).not.toContain('H')
    await fail(world)
    expect(opened(world)).toMatch(/^W{17}H$/)
  })
})

test('what came on one socket is no merit of the next', async () => {
  const { world } = started()
  attach(world)
  world.socket.data(1, 1, new Uint8Array(1))
  world.jitter = 1
  for (const ms of [250, 500]) {
    expect(await dropAndWait(world)).toBe(ms)
    attach(world)
  }
})

describe('a relay that is not there at all', () => {
  test('is no reason to stay on HTTP: WebSockets are tried again, as often as before', async () => {
    const { world, statuses: told } = started()
    await fail(world, 8)
    expect(opened(world)).toBe('WWHWWHWWH')
    expect(told).toEqual(['reconnecting'])
    await fail(world)
    attach(world)
    expect(opened(world)).toBe('WWHWWHWWHW')
    expect(told).toEqual(['reconnecting', 'connected'])
  })

  test('costs no more attempts for that: only the first over HTTP comes at once', async () => {
    const { world } = started()
    world.jitter = 1
    const waits: number[] = []
    while (waits.length < 7) waits.push(await dropAndWait(world))
    expect(opened(world)).toBe('WWHWWHWW')
    // The fake clock is looked at every 10 ms.
    expect(waits).toEqual([250, 10, 500, 1_000, 10, 2_000, 4_000])
  })
})
