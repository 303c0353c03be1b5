import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { bytesSource } from '../../src/client/index.ts'
import { parsePairingCode } from '../../src/crypto/pairing-code.ts'
import { decodeFrame, encodeAck, encodeData, FRAME_ACK, FRAME_DATA } from '../../src/protocol/frame.ts'
import type { ReceiverRow, View } from '../../src/protocol/view.ts'
import { DEFAULT_SETTINGS } from '../support/relay.ts'
import {
  admit,
  bytesOf,
  collect,
  errorOf,
  join,
  nextRequest,
  openSender,
  outcomeOf,
  pair,
  sendAll,
  take,
} from './people.ts'
import { bodyOf, HELLO, headOf, messageOf, offerOf, RawReceiver, RawSender } from './raw-peers.ts'
import { startRelay, type TestRelay } from './setting.ts'
import { DeviceWorld, until } from './world.ts'

/** A relay or a peer that lies: whatever it says, nothing is delivered that was not, and nobody else suffers for it. */

let relay: TestRelay

beforeEach(async () => {
  relay = await startRelay()
})
afterEach(() => relay.end())

/** Lets the relay say something else to a device: a hook for the first data frame with this seq. */
function changingFrame(seq: number, change: (frame: Buffer) => void, world: DeviceWorld): void {
  world.hooks.incoming = (data) => {
    if (typeof data === 'string') return data
    const frame = decodeFrame(data)
    if (frame.type !== FRAME_DATA || frame.seq !== seq) return data
    const changed = Buffer.from(data)
    change(changed)
    return changed
  }
}

/** Lets the relay show a device another view than it has, from now on. */
function changingViews(change: (view: View) => void, world: DeviceWorld): void {
  world.hooks.incoming = (data) => {
    if (typeof data !== 'string') return data
    const view: View = JSON.parse(data)
    change(view)
    return JSON.stringify(view)
  }
}

/** A sender with an honest receiver that is approved, and room for another. */
async function withHonest() {
  const device = await openSender(relay.url, { receivers: 2 })
  const { receiver } = await admit(relay.url, device)
  return { device, collecting: collect(receiver) }
}

describe('a receiver that lies in its receipt', () => {
  /** A sender of 1,000 bytes, and a receiver by hand that it has approved. */
  async function sendingTo() {
    const device = await openSender(relay.url)
    const raw = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
    await raw.shakeHands()
    await (await nextRequest(device)).approve()
    const sending = device.sender.send([bytesSource(bytesOf(1_000), 'a')])
    await raw.greet()
    return { raw, sending }
  }

  const receipt = { kind: 'receipt', offer: 1, bytes: 1_000 }
  const receipts: [string, (raw: RawReceiver) => void][] = [
    ['of another offer', (raw) => raw.sendMessage(messageOf({ ...receipt, offer: 2 }))],
    ['of a byte less', (raw) => raw.sendMessage(messageOf({ ...receipt, bytes: 999 }))],
    ['of a byte more', (raw) => raw.sendMessage(messageOf({ ...receipt, bytes: 1_001 }))],
    ['of no number', (raw) => raw.sendMessage(messageOf({ ...receipt, bytes: '1000' }))],
    ['that is no JSON', (raw) => raw.sendMessage('delivered')],
    ['that is empty', (raw) => raw.sendMessage('')],
    ['sealed as another message', (raw) => raw.sendMessage(messageOf(receipt), 3)],
    ['that is not sealed', (raw) => raw.send(Buffer.from('\u0001{"kind":"receipt"}'))],
  ]

  test.each(receipts)('one %s counts for nothing', async (_, lie) => {
    const { raw: attacker, sending } = await sendingTo()
    await attacker.accept()
    for (let read = ''; read !== 'sent'; ) read = String(headOf(await attacker.readMessage()).kind)
    lie(attacker)
    expect((await sending).map(outcomeOf)).toEqual(['unconfirmed'])
    await attacker.socket.until((view) => view?.receivers[0]?.state === 'revoked')
  })

  test('the right one counts', async () => {
    const { raw, sending } = await sendingTo()
    await raw.accept()
    expect(bodyOf(await raw.readMessage())).toEqual(Buffer.from(bytesOf(1_000)))
    expect(headOf(await raw.readMessage())).toEqual({ kind: 'sent', offer: 1, bytes: 1_000 })
    raw.sendMessage(messageOf(receipt))
    expect((await sending).map(outcomeOf)).toEqual([1_000])
  })

  test.each([
    ['before the answer', 'not_delivered', async () => {}],
    ['after the answer', 'not_delivered', (raw: RawReceiver) => raw.accept()],
    [
      'after everything',
      'unconfirmed',
      async (raw: RawReceiver) => {
        await raw.accept()
        for (let i = 0; i < 2; i++) await raw.readMessage()
      },
    ],
  ])('one that leaves %s: %s', async (_, outcome, hear) => {
    const { raw: attacker, sending } = await sendingTo()
    await hear(attacker)
    await attacker.leave()
    expect((await sending).map(outcomeOf)).toEqual([outcome])
  })
})

describe('a receiver that acks what was never sent', () => {
  test('before it is approved ends its own handshake, and nobody else’s', async () => {
    const { device, collecting } = await withHonest()
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
    attacker.socket.ack(attacker.channel, 1_000_000)
    await attacker.socket.until((view) => view?.receivers[0]?.state === 'denied')
    expect(await sendAll(device.sender, 1_000, collecting)).toEqual([1_000])
  })

  test('after it is approved ends its own transfer, and nobody else’s', async () => {
    const { device, collecting } = await withHonest()
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
    const { matchNumber } = await attacker.shakeHands()
    await nextRequest(device)
    await device.sender.approveNumber(matchNumber)
    const sending = device.sender.send([bytesSource(bytesOf(1_000), 'a')])
    attacker.socket.ack(attacker.channel, 1_000_000)
    expect((await sending).map(outcomeOf)).toEqual([1_000, 'peer_misbehaved'])
    await device.sender.close()
    await collecting
  })

  test('while the sender is away, too', async () => {
    const { device, collecting } = await withHonest()
    const attacker = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
    await attacker.socket.until((view) => view?.senderPresent === true)
    device.world.unplugged = true
    device.world.socket.cut()
    await attacker.socket.until((view) => view?.senderPresent === false)
    attacker.socket.ack(attacker.channel, 1_000_000)
    device.world.unplugged = false
    await attacker.socket.until((view) => view?.receivers[0]?.state === 'denied')
    expect(await sendAll(device.sender, 1_000, collecting)).toEqual([1_000])
  })
})

describe('a sender that lies', () => {
  const oneByte = [{ path: 'a', size: 1 }]
  const content = (bytes: string) => messageOf({ kind: 'content', offer: 1 }, bytes)
  const sent = messageOf({ kind: 'sent', offer: 1, bytes: 1 })
  const lies: [string, (Uint8Array | string)[]][] = [
    ['an offer before the approval', [offerOf(oneByte, { bytes: 1 })]],
    ['a goodbye before the approval', [messageOf({ kind: 'bye' })]],
    ['an approval that is no JSON', ['hello']],
    ['a message without a kind', [messageOf(HELLO), messageOf({ path: '/' })]],
    ['an empty message', [messageOf(HELLO), '']],
    ['a head that is too long', [messageOf(HELLO), Buffer.from([0, 1, 0, 1, 0x7b])]],
    ['an offer of no entries', [messageOf(HELLO), offerOf([])]],
    ['an offer of a path upwards', [messageOf(HELLO), offerOf([{ path: '../a', size: 1 }], { bytes: 1 })]],
    ['content before the answer', [messageOf(HELLO), offerOf(oneByte, { bytes: 1 }), content('x'), content('x')]],
    ['a byte too many', [messageOf(HELLO), offerOf(oneByte, { bytes: 1 }), content('xy')]],
    ['a byte too few', [messageOf(HELLO), offerOf(oneByte, { bytes: 1 }), content(''), sent]],
    ['another sum', [messageOf(HELLO), offerOf(oneByte, { bytes: 2 })]],
  ]

  test.each(lies)('C5: %s is not taken, and gets no receipt', async (_, messages) => {
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text)
    await attacker.shakeHands()
    await attacker.decide({ decision: 'approved' })
    const end = errorOf(collect(receiver))
    for (const message of messages.slice(0, 2)) attacker.sendMessage(message)
    // Content follows the answer, but for the lie that it does not.
    if (messages.length === 3) {
      await attacker.readHead()
      expect(await attacker.readHead()).toMatchObject({ kind: 'answer', accepted: true })
    }
    for (const message of messages.slice(2)) attacker.sendMessage(message)
    expect(await end).toBe('corrupt')
    await attacker.close()
  })

  test('a hello under another index is not taken', async () => {
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text)
    await attacker.shakeHands()
    await attacker.decide({ decision: 'approved' })
    attacker.sendMessage(messageOf(HELLO), 1)
    expect(await errorOf(collect(receiver))).toBe('corrupt')
    await attacker.close()
  })

  test('with a kind that is not known is not heard', async () => {
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text)
    await attacker.pairWith()
    const collecting = collect(receiver)
    attacker.sendMessage(messageOf({ kind: 'later', to: 'you' }, bytesOf(1_000)))
    attacker.sendMessage(offerOf(oneByte, { bytes: 1, later: true }))
    await attacker.readHead()
    await attacker.readHead()
    attacker.sendMessage(content('x'))
    attacker.sendMessage(sent)
    expect(await attacker.readHead()).toMatchObject({ kind: 'receipt', offer: 1, bytes: 1 })
    attacker.sendMessage(messageOf({ kind: 'bye' }))
    expect(await collecting).toMatchObject([[{ path: 'a', bytes: 1 }]])
    await attacker.close()
  })

  test('and ends before its goodbye: what was settled stays so, and the end is an error', async () => {
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text)
    await attacker.pairWith()
    const taken: unknown[] = []
    const collecting = errorOf(
      (async () => {
        for await (const offer of receiver.offers()) taken.push(await take(offer))
      })(),
    )
    attacker.sendMessage(offerOf(oneByte, { bytes: 1 }))
    await attacker.readHead()
    await attacker.readHead()
    attacker.sendMessage(content('x'))
    attacker.sendMessage(sent)
    expect(await attacker.readHead()).toMatchObject({ kind: 'receipt' })
    await attacker.closeSession()
    expect(await collecting).toBe('closed_by_sender')
    expect(taken).toHaveLength(1)
    await attacker.close()
  })

  test('about m4 never gets a number shown', async () => {
    const attacker = await RawSender.open(relay.url)
    const { receiver } = await join(relay.url, attacker.code.text)
    const handshake = await attacker.awaitReceiver()
    attacker.send(handshake.answerM1(await attacker.next()))
    const { m4 } = handshake.answerM3(await attacker.next())
    m4[40] ^= 1
    attacker.send(m4)
    expect(await errorOf(receiver.verified)).toBe('wrong_code')
    expect(receiver.matchNumber).toBe(undefined)
  })
})

describe('a relay that changes frames', () => {
  test.each([8, 9, 20, 30])('of the payload: byte %d of a frame is enough to make it corrupt', async (at) => {
    const world = await DeviceWorld.create()
    const { sender, receiver } = await pair(relay.url, { receiver: { world } })
    changingFrame(4, (attacker) => attacker.writeUInt8(attacker.readUInt8(at) ^ 1, at), world)
    const end = errorOf(collect(receiver))
    expect((await sender.send([bytesSource(bytesOf(100_000), 'a')])).map(outcomeOf)).toEqual(['not_delivered'])
    expect(await end).toBe('corrupt')
  })

  test('of the receipt', async () => {
    const { sender, receiver, world } = await pair(relay.url)
    changingFrame(5, (attacker) => attacker.writeUInt8(attacker.readUInt8(20) ^ 1, 20), world)
    const end = errorOf(collect(receiver))
    expect((await sender.send([bytesSource(bytesOf(100), 'a')])).map(outcomeOf)).toEqual(['unconfirmed'])
    await sender.cancel()
    expect(await end).toBe('revoked')
  })

  test('to those of another receiver', async () => {
    const { sender, receivers } = await pair(relay.url, { receivers: 2 })
    const [one, other] = receivers
    let [stolen, held] = [undefined as Uint8Array | undefined, false]
    const swap = () => {
      if (stolen && held) other.world.socket.inject(encodeData(2, 4, stolen.subarray(8)))
    }
    one.world.hooks.incoming = (data) => {
      if (typeof data !== 'string' && decodeFrame(data).seq === 4) stolen = data
      swap()
      return data
    }
    other.world.hooks.incoming = (data) => {
      if (typeof data === 'string' || decodeFrame(data).seq !== 4) return data
      held = true
      swap()
      return undefined
    }
    const outcomes = [one, other].map(({ receiver }) => errorOf(collect(receiver)))
    await sender.send([bytesSource(bytesOf(1_000), 'a')])
    expect(await outcomes[1]).toBe('corrupt')
    await sender.cancel()
    await outcomes[0]
  })

  test('to earlier ones', async () => {
    const world = await DeviceWorld.create()
    const { sender, receiver } = await pair(relay.url, { receiver: { world } })
    let earlier: Uint8Array | undefined
    world.hooks.incoming = (data) => {
      if (typeof data === 'string' || decodeFrame(data).type === FRAME_ACK) return data
      const { seq } = decodeFrame(data)
      if (seq === 4) earlier = data
      return seq === 5 && earlier ? encodeData(1, 5, earlier.subarray(8)) : data
    }
    const end = errorOf(collect(receiver))
    await sender.send([bytesSource(bytesOf(600_000), 'a')])
    expect(await end).toBe('corrupt')
  })

  test('into none: it acks everything itself, and says that the receiver is done', async () => {
    const { sender, receiver, world } = await pair(relay.url)
    const end = errorOf(collect(receiver))
    let acked = 0
    world.hooks.outgoing = (data, socket) => {
      if (typeof data === 'string') return data
      const frame = decodeFrame(data)
      if (frame.type === FRAME_DATA)
        queueMicrotask(() => {
          socket.inject(encodeAck(1, frame.seq))
          acked = frame.seq
        })
      return undefined
    }
    const progress: number[] = []
    const sending = sender.send([bytesSource(bytesOf(1_000_000), 'a')], {
      onProgress: ({ bytes }) => void progress.push(bytes),
    })
    await until('the sender believes the acks', () => acked >= 4)
    const view = { type: 'session', version: 'x', role: 'sender', state: 'open', expiresInMs: 1_000, joinable: false }
    const row = { receiverCode: receiver.receiverCode, channel: 1, state: 'done' }
    world.socket.inject(JSON.stringify({ ...view, receivers: [row], channels: [] }))
    expect((await sending).map(outcomeOf)).toEqual(['not_delivered'])
    expect(progress).toEqual([])
    await sender.cancel()
    expect(['revoked', 'closed_by_sender']).toContain(await end)
  })

  test('into more than the window is refused before it fills this device', async () => {
    const world = await DeviceWorld.create()
    let seq = 0
    world.hooks.incoming = (data) => {
      const frame = typeof data === 'string' ? undefined : decodeFrame(data)
      if (frame?.type === FRAME_DATA) seq = frame.seq
      return data
    }
    const { receiver } = await pair(relay.url, { receiver: { world } })
    const { windowBytes, maxFrameBytes } = DEFAULT_SETTINGS
    await until('the word of the approval is there', () => seq === 3)
    let taken = 0
    for (const socket = world.socket; !socket.closed && seq < 1_000; taken += maxFrameBytes) {
      socket.inject(encodeData(1, ++seq, new Uint8Array(maxFrameBytes - 8)))
    }
    expect(taken).toBeGreaterThan(windowBytes - maxFrameBytes)
    expect(taken).toBeLessThanOrEqual(windowBytes + maxFrameBytes)
    // Frames from before the close are still looked at, and are rubbish.
    expect(await errorOf(collect(receiver))).toBe('corrupt')
  })
})

describe('a relay whose view lies', () => {
  const OTHER_KEY = `${'B'.repeat(42)}A`

  describe('to the sender', () => {
    const lies: [string, (view: View) => void][] = [
      ['another key', (view) => change(view, { publicKey: OTHER_KEY })],
      ['another code', (view) => change(view, { receiverCode: 'ABCDEF' })],
      ['another channel', (view) => change(view, { channel: 2 })],
      ['a denial that was not ours', (view) => change(view, { state: 'denied', reason: 'rejected' })],
      ['a withdrawal that was not ours', (view) => change(view, { state: 'revoked' })],
    ]

    test.each(lies)('C7: %s, for a receiver that waits, is not approved', async (_, lie) => {
      const device = await openSender(relay.url, { receivers: 2 })
      await join(relay.url, device.sender.code)
      const request = await nextRequest(device)
      const decisions: unknown[] = []
      device.world.onFetch = (send, _url, init) => {
        if (init.method === 'PUT') decisions.push(init.body)
        return send()
      }
      let lied = false
      changingViews((view) => {
        lie(view)
        lied = true
      }, device.world)
      // Any change makes the relay send a view.
      const other = await RawReceiver.join(relay.url, parsePairingCode(device.sender.code))
      await until('the view has come', () => lied)
      expect(await errorOf(device.sender.approveNumber(request.matchNumber))).toBe('relay_misbehaved')
      expect(decisions).not.toContain('{"decision":"approved"}')
      await other.close()
    })

    test.each(lies)('%s, in the middle of a transfer, is not delivered', async (_, lie) => {
      const { sender, receiver, world } = await pair(relay.url)
      changingViews(lie, world)
      const end = errorOf(collect(receiver))
      const sending = sender.send([bytesSource(bytesOf(20_000_000), 'a')])
      expect((await sending).map(outcomeOf)).toEqual(['relay_misbehaved'])
      await sender.cancel()
      expect(['revoked', 'closed_by_sender']).toContain(await end)
    })

    test('the role of a receiver ends the session', async () => {
      const world = await DeviceWorld.create()
      changingViews((attacker) => {
        attacker.role = 'receiver'
      }, world)
      const { requests } = await openSender(relay.url, { world })
      expect(await errorOf(requests.next())).toBe('relay_misbehaved')
      await until('its socket is closed', () => world.openSockets.size === 0)
    })

    test('to have fewer frames than it acked, after a reconnect, is not delivered', async () => {
      const { sender, receiver, world } = await pair(relay.url)
      const end = errorOf(collect(receiver))
      let cut = false
      world.hooks.incoming = (data, socket) => {
        if (typeof data === 'string' || decodeFrame(data).type !== FRAME_ACK || decodeFrame(data).seq < 5) return data
        if (!cut) queueMicrotask(() => socket.cut())
        cut = true
        changingViews((attacker) => {
          for (const row of attacker.channels) Object.assign(row, { received: 3, acked: 3 })
        }, world)
        return data
      }
      // More than the taker's allowance: the end cannot be out when the connection is cut, which would be unconfirmed.
      expect((await sender.send([bytesSource(bytesOf(8_000_000), 'a')])).map(outcomeOf)).toEqual(['relay_misbehaved'])
      await sender.cancel()
      expect(['revoked', 'closed_by_sender']).toContain(await end)
    })

    test('a key in the middle, from the start, is a receiver that is never listed', async () => {
      const world = await DeviceWorld.create()
      changingViews((attacker) => change(attacker, { publicKey: OTHER_KEY }), world)
      const { sender } = await openSender(relay.url, { world })
      const { receiver } = await join(relay.url, sender.code)
      expect(await errorOf(receiver.verified)).toBe('wrong_code')
      await until('the failure is counted', () => sender.failedAttempts.invalid === 1)
      expect(sender.verifiedCount).toBe(0)
    })
  })

  describe('to the receiver', () => {
    const lies: [string, (view: View) => void, string][] = [
      ['the role of a sender', (view) => void Object.assign(view, { role: 'sender' }), 'relay_misbehaved'],
      ['another key', (view) => change(view, { publicKey: OTHER_KEY }), 'relay_misbehaved'],
      ['another code', (view) => change(view, { receiverCode: 'ABCDEF' }), 'relay_misbehaved'],
      ['another channel', (view) => change(view, { channel: 2 }), 'relay_misbehaved'],
      ['no row', (view) => void view.receivers.splice(0), 'relay_misbehaved'],
      ['somebody else besides', (view) => void view.receivers.push(...view.receivers), 'relay_misbehaved'],
      ['a denial', (view) => change(view, { state: 'denied', reason: 'rejected' }), 'denied'],
      ['a failure', (view) => change(view, { state: 'denied', reason: 'handshake_failed' }), 'wrong_code'],
      ['a time-out', (view) => change(view, { state: 'denied', reason: 'handshake_timeout' }), 'handshake_timeout'],
      ['a withdrawal', (view) => change(view, { state: 'revoked' }), 'revoked'],
      [
        'a suite that is not known here',
        (view) => change(view, { state: 'denied', reason: 'unsupported' }),
        'unsupported',
      ],
    ]

    test.each(lies)('%s: it ends, and shows no number', async (_, lie, expected) => {
      const { sender } = await openSender(relay.url)
      const world = await DeviceWorld.create()
      changingViews(lie, world)
      const { receiver } = await join(relay.url, sender.code, { world })
      expect(await errorOf(receiver.verified)).toBe(expected)
      expect(await errorOf(collect(receiver))).toBe(expected)
      await until('its socket is closed', () => world.openSockets.size === 0)
    })

    test('a denial is shown as what it is, the relay’s word', async () => {
      const { sender } = await openSender(relay.url)
      const world = await DeviceWorld.create()
      changingViews((attacker) => change(attacker, { state: 'denied', reason: 'rejected' }), world)
      const { receiver } = await join(relay.url, sender.code, { world })
      await expect(receiver.verified).rejects.toThrow('The relay says that')
    })
  })
})

function change(view: View, row: Partial<ReceiverRow>): void {
  Object.assign(view.receivers[0] ?? {}, row)
}
