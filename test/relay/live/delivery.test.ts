import fc from 'fast-check'
import { describe, expect } from 'vitest'
import { frameCost } from '../../../src/protocol/limits.ts'
import type { FakeSocket } from '../../support/fake-socket.ts'
import { holds, often } from '../../support/property.ts'
import { type Member, opened, settled, type TestRelay } from '../../support/relay.ts'

/** A channel as a client sees it: what it writes, what it has read. Written after PROTOCOL.md, not after the relay. */
interface Lane {
  readonly channel: number
  /** Everything ever written, frame n at n − 1; kept for good, as an SDK keeps it until the ack. */
  readonly written: string[]
  /** The last seq that the peer has acked, as far as this client knows. */
  acked: number
  /** The last seq sent on the present socket, or that the relay said it has. */
  sent: number
  window: number
  /** Frames that were read, in order. */
  readonly read: string[]
}

/** A client that keeps the rules, with a network that does not: what it was sent and has not looked at can get lost. */
class Client {
  socket: FakeSocket | undefined
  readonly lanes: Lane[]
  readonly #node: TestRelay
  readonly #member: Member
  #looked = 0
  #resumed = false

  constructor(node: TestRelay, member: Member, channels: number[]) {
    this.#node = node
    this.#member = member
    this.lanes = channels.map((channel) => ({ channel, written: [], acked: 0, sent: 0, window: 0, read: [] }))
  }

  attach(): void {
    this.socket = this.#node.connect(this.#member.sessionId)
    this.#looked = 0
    this.#resumed = false
    const channels = this.lanes.map(({ channel, read, acked }) => ({ channel, received: read.length, acked }))
    this.socket.attach(this.#member.token, channels)
  }

  /** The connection is lost, with whatever was on its way. */
  lose(): void {
    this.socket?.vanish()
    this.socket = undefined
  }

  /** Looks at everything that came in. */
  look(): void {
    const { socket } = this
    if (!socket) return
    for (const sent of socket.sent.slice(this.#looked)) {
      this.#looked++
      if (sent.kind === 'view') {
        for (const row of sent.view.channels) this.#place(row)
        this.#resumed = true
        continue
      }
      expect(this.#resumed).toBe(true)
      const lane = this.lanes.find((each) => each.channel === sent.channel)
      if (!lane) throw new Error(`channel ${sent.channel} is not this client's`)
      if (sent.kind === 'ack') {
        expect(sent.seq).toBeLessThanOrEqual(lane.written.length)
        lane.acked = Math.max(lane.acked, sent.seq)
      } else if (sent.seq > lane.read.length) {
        expect(sent.seq).toBe(lane.read.length + 1)
        lane.read.push(sent.text)
      }
    }
    if (!socket.closedWith) return
    expect(['resume_required', 'superseded']).toContain(socket.closedWith)
    this.socket = undefined
  }

  #place(row: { channel: number; received: number; acked: number; window: number }): void {
    const lane = this.lanes.find((each) => each.channel === row.channel)
    if (!lane) throw new Error(`channel ${row.channel} is not this client's`)
    expect(row.window).toBeGreaterThanOrEqual(lane.window)
    lane.window = row.window
    if (this.#resumed) return
    expect(row.received).toBeGreaterThanOrEqual(lane.acked)
    expect(row.received).toBeLessThanOrEqual(lane.written.length)
    lane.acked = Math.max(lane.acked, row.acked)
    lane.sent = row.received
  }

  /** Sends what the window allows. */
  flush(lane: Lane): void {
    if (!this.#resumed || !this.socket) return
    let cost = 0
    for (const text of lane.written.slice(lane.acked, lane.sent)) cost += frameCost(text.length)
    for (const text of lane.written.slice(lane.sent)) {
      cost += frameCost(text.length)
      if (cost > lane.window) return
      lane.sent++
      this.socket.data(lane.channel, lane.sent, text)
    }
  }

  /** Sends a frame again that the relay has, as a client in doubt would. */
  replay(lane: Lane, back: number): void {
    const seq = lane.sent - back
    const text = lane.written[seq - 1]
    if (this.#resumed && this.socket && text !== undefined) this.socket.data(lane.channel, seq, text)
  }

  /** Acks what was read, or something older. */
  ack(lane: Lane, back: number): void {
    if (this.#resumed) this.socket?.ack(lane.channel, Math.max(0, lane.read.length - back))
  }
}

const who = fc.nat({ max: 3 })
const step = fc.oneof(
  often(6, ['write'], { who, size: fc.integer({ min: 1, max: 4088 }) }),
  often(8, ['flush', 'look'], { who }),
  often(4, ['ack'], { who, back: fc.constantFrom(0, 0, 0, 1, 5) }),
  often(1, ['replay'], { who, back: fc.nat({ max: 5 }) }),
  often(2, ['lose', 'attach', 'attach'], { who }),
  often(1, ['congest'], { who, room: fc.integer({ min: 1, max: 3 }) }),
  often(1, ['drain'], { who }),
  often(1, ['forget'], { who, direction: fc.constantFrom('s2r', 'r2s') }),
  often(8, ['wait'], {}),
)

describe('delivery', () => {
  holds(
    'neither loses, duplicates nor reorders, whatever happens to sockets and mailboxes, and no window is exceeded',
    400,
    fc.array(step, { minLength: 10, maxLength: 150, size: 'max' }),
    async (steps) => {
      const { node, sender } = await opened()
      const receivers = [await node.join(sender.senderCode), await node.join(sender.senderCode)]
      for (const receiver of receivers) await node.approve(sender, receiver)
      const senderClient = new Client(node, sender, [1, 2])
      const clients = [senderClient, ...receivers.map((each) => new Client(node, each, [each.channel]))]
      // The sender's two lanes, then the receivers'.
      const lanes = clients.flatMap((client) => client.lanes.map((lane) => ({ client, lane })))
      const sockets = new Set<FakeSocket>()
      const bounded = () => {
        const { unackedBytes, grantedBytes } = node.counters()
        expect(unackedBytes).toBeLessThanOrEqual(grantedBytes)
        for (const { client } of lanes) if (client.socket) sockets.add(client.socket)
      }
      let written = 0
      for (const client of clients) client.attach()
      for (const each of steps) {
        if (each.do === 'wait') {
          await settled()
          bounded()
          continue
        }
        const { client, lane } = lanes[each.who] ?? expect.unreachable()
        switch (each.do) {
          case 'write':
            lane.written.push(`${++written} `.padEnd(each.size, '.').slice(0, Math.max(each.size, 6)))
            break
          case 'flush':
            client.flush(lane)
            break
          case 'look':
            client.look()
            break
          case 'ack':
            client.ack(lane, each.back)
            break
          case 'replay':
            client.replay(lane, each.back)
            break
          case 'lose':
            client.lose()
            break
          case 'attach':
            client.attach()
            break
          case 'congest':
            if (client.socket) client.socket.room = Math.min(client.socket.room, each.room)
            break
          case 'drain':
            client.socket?.drain()
            break
          case 'forget':
            await node.mailboxes.drop([`${sender.sessionId}/${lane.channel}/${each.direction}`])
            break
          default:
            each satisfies never
        }
        bounded()
      }
      // From here on nothing goes wrong any more, and everything must arrive.
      for (const client of clients) client.lose()
      for (let round = 0; round < 60; round++) {
        for (const client of clients) if (!client.socket) client.attach()
        await settled()
        for (const { client, lane } of lanes) {
          client.look()
          client.flush(lane)
          client.ack(lane, 0)
        }
        await settled()
        bounded()
      }
      for (const [index, receiver] of clients.slice(1).entries()) {
        const [mine, theirs] = [receiver.lanes[0], senderClient.lanes[index]]
        expect(mine?.read).toEqual(theirs?.written)
        expect(theirs?.read).toEqual(mine?.written)
        expect([mine?.acked, theirs?.acked]).toEqual([mine?.written.length, theirs?.written.length])
      }
      expect(node.counters().unackedBytes).toBe(0)
      expect(node.failures).toEqual([])
      for (const socket of sockets) expect(socket.violations).toBe(0)
    },
  )
})
