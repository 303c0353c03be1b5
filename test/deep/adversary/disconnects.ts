import { PairingError, Receiver } from '../../../src/client/index.ts'
import { generatePairingCode } from '../../../src/crypto/pairing-code.ts'
import { ciphertextOf, decodeFrame, FRAME_DATA } from '../../../src/protocol/frame.ts'
import { FakeTime, settled } from '../../client/fake-time.ts'
import { senderWithoutCode, TAGS } from './budgets.ts'
import { device } from './device.ts'
import { type Operator, Relay } from './relay.ts'
import { RELAY } from './scenario.ts'
import { leaks } from './search.ts'
import { Seed } from './seed.ts'
import { forget, unwiped } from './watch.ts'

/** A relay that cuts sockets around m3, claims that nothing came, and asks again: all to get one tag more. */

export interface Disconnects {
  readonly joins: number
  readonly cuts: number
  /** Different tags that were seen for the one code. */
  readonly tags: number
  /** Joins that the SDK refused, or ended, because the code was tried too often. */
  readonly refusals: number
  readonly faults: readonly string[]
}

const JOINS = 5
const STEPS = 4

export async function disconnect(seed: Seed): Promise<Disconnects> {
  forget()
  const time = new FakeTime()
  const relay = new Relay(time, seed)
  const breaker = new Breaker(seed)
  relay.operators = [breaker]
  const environment = device('receiver', new Seed(seed.name, 'receiver'), relay)
  const { text: code } = generatePairingCode((length) => seed.bytes(length))
  const receivers: Receiver[] = []
  let refusals = 0
  for (let join = 0; join < JOINS; join++) {
    try {
      const receiver = await Receiver.join({ relay: RELAY, code, environment })
      receivers.push(receiver)
      receiver.verified.catch((error) => {
        if (isUsedUp(error)) refusals++
      })
      for (let step = 0; step < STEPS; step++) {
        await settled()
        await time.advance(seed.below(400))
      }
      // Sometimes it stays, and the next one runs beside it.
      if (seed.below(3) > 0) await receiver.close()
    } catch (error) {
      if (!isUsedUp(error)) throw error
      refusals++
    }
  }
  for (const receiver of receivers) await receiver.close()
  await settled()
  const emitted = tagsIn(relay.heard)
  const faults = [...unwiped().map((what) => `not wiped: ${what}`), ...leaks({ code, relay })]
  if (emitted.size > TAGS) faults.push(`${emitted.size} tags`)
  const channels = new Set([...emitted.values()])
  if (channels.size !== emitted.size) faults.push('two tags in one run')
  return { joins: receivers.length, cuts: breaker.cuts, tags: emitted.size, refusals, faults }
}

const isUsedUp = (error: unknown) => error instanceof PairingError && error.code === 'attempts_used_up'

/** Every different m3 in what a relay heard, resent ones included, with its channel. Nothing else follows an m1 here. */
function tagsIn(heard: readonly Uint8Array[]): Map<string, number> {
  const tags = new Map<string, number>()
  for (const bytes of heard) {
    if (bytes[0] !== FRAME_DATA) continue
    const frame = decodeFrame(bytes)
    if (frame.seq >= 2) tags.set(ciphertextOf(frame).join(), frame.channel)
  }
  return tags
}

class Breaker implements Operator {
  readonly name = 'breaker'
  cuts = 0
  readonly #seed: Seed
  readonly #owed = new Set<number>()

  constructor(seed: Seed) {
    this.#seed = seed
  }

  join: Exclude<Operator['join'], undefined> = (request, relay) => {
    if (relay.meetings.length === 0) relay.pretend(request.senderCode)
    return request
  }

  data: Exclude<Operator['data'], undefined> = (frame, relay) => {
    const { guest } = frame
    const ask = (as?: number) => {
      const attacker = { ...frame, from: 'sender' as const, ciphertext: senderWithoutCode(this.#seed) }
      relay.deliver(as === undefined ? attacker : { ...attacker, as })
    }
    const cut = () => {
      this.cuts++
      guest.plug?.drop()
    }
    const moves =
      frame.seq === 1
        ? [ask, () => [ask(), cut()], () => [this.#owed.add(guest.channel), cut()], () => [ask(), ask()]]
        : [
            cut,
            () => {
              // As if m3 had never come: it is sent again, and must be the same.
              guest.lines.receiver.received = 1
              cut()
            },
            () => ask(1),
            () => ask(),
            () => {
              guest.lines.receiver.received = 1
              this.#owed.add(guest.channel)
              cut()
            },
          ]
    this.#seed.pick(moves)()
    return []
  }

  attached: Exclude<Operator['attached'], undefined> = (_, plug, relay) => {
    for (const guest of relay.meeting.guests) {
      if (guest.plug !== plug || !this.#owed.delete(guest.channel)) continue
      relay.deliver({ meeting: relay.meeting, guest, from: 'sender', ciphertext: senderWithoutCode(this.#seed) })
    }
  }
}
