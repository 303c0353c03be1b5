import { bytesSource, type PairingRequest, type Receipt, Receiver, Sender } from '../../../src/client/index.ts'
import type { Role } from '../../../src/protocol/view.ts'
import { FakeTime } from '../../client/fake-time.ts'
import { device } from './device.ts'
import { isPayload } from './operators.ts'
import { ReceivingPerson } from './people.ts'
import { type Operator, Relay } from './relay.ts'
import { RELAY, until, watched } from './scenario.ts'
import { leaks } from './search.ts'
import { Seed } from './seed.ts'
import { forget, unwiped } from './watch.ts'

/** Two receivers of one sender, and a relay that gives each what was meant for the other. */

/** Exchanges the nth payload frame of one channel with that of the other, in the direction away from `from`. */
function crossing(from: Role, seq: number): Operator {
  const held = new Map<number, Parameters<Exclude<Operator['data'], undefined>>[0]>()
  return {
    name: 'cross',
    data(frame, relay) {
      if (!isPayload(from)(frame) || frame.seq !== seq) return undefined
      held.set(frame.guest.channel, frame)
      const [one, two] = [held.get(1), held.get(2)]
      if (!one || !two) return []
      relay.deliver({ ...one, guest: two.guest })
      relay.deliver({ ...two, guest: one.guest })
      return []
    },
  }
}

export async function cross(from: Role, seq: number) {
  forget()
  const seed = new Seed('crossing', from, seq)
  const time = new FakeTime()
  const relay = new Relay(time, seed)
  const environment = (role: Role, name: string) => device(role, new Seed(seed.name, name), relay)
  const sender = await Sender.open({ relay: RELAY, receivers: 2, environment: environment('sender', 'sender') })
  const people = [new ReceivingPerson(), new ReceivingPerson()]
  for (const [i, person] of people.entries()) {
    const own = environment('receiver', `receiver ${i}`)
    void person.act(() => Receiver.join({ relay: RELAY, code: sender.code, environment: own }))
  }
  const requests: PairingRequest[] = []
  for await (const request of sender.requests()) if (requests.push(request) === 2) break
  relay.operators = [crossing(from, seq)]
  for (const person of people) await sender.approveNumber((await person.shown) ?? '')
  let receipts: Receipt[] = []
  const sending = sender.send([bytesSource(new Uint8Array(1000).fill(7), 'a file')]).then((all) => {
    receipts = all
    return sender.close()
  })
  const done = watched(sending)
  await until(time, 100_000, () => done() && people.every((person) => person.done))
  const leaving = Promise.all([sender.cancel(), ...people.map((person) => person.leave())])
  await until(time, 100_000, watched(leaving))
  return {
    receipts: receipts.map((each) => (each.delivered ? 'delivered' : each.error.code)),
    receivers: people.map((person) => person.names),
    complete: people.reduce((sum, person) => sum + person.complete, 0),
    faults: [...unwiped().map((what) => `not wiped: ${what}`), ...leaks({ code: sender.code, relay })],
  }
}
