import { type PairingRequest, Receiver, Sender } from '../../../src/client/index.ts'
import { generatePairingCode } from '../../../src/crypto/pairing-code.ts'
import type { View } from '../../../src/protocol/view.ts'
import { FakeTime, settled } from '../../client/fake-time.ts'
import { guess, guessesLeft, receiverWithoutCode, senderWithoutCode } from './budgets.ts'
import { device } from './device.ts'
import { HandmadeReceiver } from './handmade.ts'
import { secretOf } from './impostors.ts'
import { lie } from './operators.ts'
import { type Flying, Relay } from './relay.ts'
import { RELAY } from './scenario.ts'
import { Seed } from './seed.ts'
import { forget } from './watch.ts'

/** Receivers that do not exist, many at a time, against the budgets of one sender's code. */

const STEP_MS = 20_000
const AT_A_TIME = 8

async function openSender(name: string) {
  forget()
  const seed = new Seed(name)
  const time = new FakeTime()
  const relay = new Relay(time, seed)
  const sender = await Sender.open({ relay: RELAY, environment: device('sender', seed, relay) })
  await settled()
  const rows: PairingRequest[] = []
  const watching = (async () => {
    for await (const request of sender.requests()) rows.push(request)
  })()
  const end = async () => {
    await sender.cancel()
    await watching
  }
  return { seed, time, relay, sender, rows, end }
}

/** A receiver that does not exist joins, and says what it says. */
function invited(relay: Relay, attacker: Identity, hears: (ciphertext: Uint8Array) => void) {
  const publicKey = Buffer.from(attacker.publicKey).toString('base64url')
  const guest = relay.invite(attacker.receiverCode, publicKey, hears)
  return (ciphertext: Uint8Array) => relay.deliver({ meeting: relay.meeting, guest, from: 'receiver', ciphertext })
}

type Identity = Pick<ReturnType<typeof receiverWithoutCode>, 'receiverCode' | 'publicKey'>

/** Sends so many m1 and nothing more. `atOnce`: the most that were answered and whose handshake was still open. */
export async function floodOfM1(count: number) {
  const { seed, time, relay, end } = await openSender('a flood of m1')
  // A view has 32 rows at most. A device that is not shown any more is over; the code's budgets must still count it.
  const latest = (view: View) => ({
    ...view,
    receivers: view.receivers.slice(-AT_A_TIME),
    channels: view.channels.slice(-AT_A_TIME),
  })
  relay.operators = [lie('sender', latest)]
  let answered = 0
  let atOnce = 0
  let before = 0
  for (let i = 0; i < count; i += AT_A_TIME) {
    for (let j = i; j < Math.min(count, i + AT_A_TIME); j++) {
      const attacker = receiverWithoutCode(seed)
      const say = invited(relay, attacker, () => {
        answered++
      })
      await settled()
      say(attacker.m1)
    }
    await settled()
    // Whoever has a place keeps it until it times out; then it is the next one's turn.
    while (before !== answered) {
      atOnce = Math.max(atOnce, answered - before)
      before = answered
      await time.advance(STEP_MS)
    }
  }
  const retired = relay.commands.includes('DELETE code')
  await end()
  return { atOnce, answered, retired }
}

/**
 * So many wrong tags in the same turn, after so many before it, and the right one last. With the last guess spent in front
 * of it, the right one comes too late. `answered`: the sender opened its nonce to it; `left`: guesses that are left then.
 */
export async function raceOfTags(before: number, inTheSameTurn: number) {
  const { seed, relay, sender, rows, end } = await openSender(`a race of tags ${before} ${inTheSameTurn}`)
  for (let i = 0; i < before; i++) await guess(relay, seed)
  const tags: (() => void)[] = []
  for (let i = 0; i < inTheSameTurn; i++) {
    const attacker = receiverWithoutCode(seed)
    const say = invited(relay, attacker, () => {})
    await settled()
    say(attacker.m1)
    tags.push(() => say(attacker.m3))
  }
  const { sessionId, locator } = relay.meeting
  const receiverCode = 'ABCDEF'
  const id = new Uint8Array(Buffer.from(sessionId, 'base64url'))
  const known = { locator, secret: secretOf(sender.code), receiverCode, sessionId: id }
  const attacker = new HandmadeReceiver(known, (length) => seed.bytes(length))
  const heard: Uint8Array[] = []
  const say = invited(relay, { receiverCode, publicKey: attacker.publicKey }, (bytes) => heard.push(bytes))
  await settled()
  say(attacker.m1)
  await settled()
  for (const tag of tags) tag()
  say(attacker.m3(heard[0]))
  await settled()
  const race = { rows: rows.length, answered: heard.length > 1, left: await guessesLeft(relay, seed) }
  await end()
  return race
}

/** Joins with one code from one device, side by side; no m1 is answered before all are there. How many tags come of it. */
export async function raceOfJoins(count: number): Promise<number> {
  forget()
  const seed = new Seed('a race of joins')
  const relay = new Relay(new FakeTime(), seed)
  const held: Flying[] = []
  relay.operators = [
    {
      name: 'hold',
      join(request) {
        if (relay.meetings.length === 0) relay.pretend(request.senderCode)
        return request
      },
      data(frame) {
        held.push(frame)
        return []
      },
    },
  ]
  const environment = device('receiver', seed, relay)
  const { text: code } = generatePairingCode((length) => seed.bytes(length))
  const receivers: Receiver[] = []
  for (let i = 0; i < count; i++) receivers.push(await Receiver.join({ relay: RELAY, code, environment }))
  await settled()
  for (const frame of held.slice()) relay.deliver({ ...frame, from: 'sender', ciphertext: senderWithoutCode(seed) })
  await settled()
  const tags = relay.frames.filter(({ from, seq }) => from === 'receiver' && seq >= 2).length
  for (const receiver of receivers) await receiver.close()
  return tags
}
