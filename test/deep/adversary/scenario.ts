import { type PairingErrorCode, Receiver, Sender } from '../../../src/client/index.ts'
import { FakeTime, settled } from '../../client/fake-time.ts'
import { GUESSES, guessesLeft, TAGS, tagsLeft } from './budgets.ts'
import { device } from './device.ts'
import { ReceivingPerson, SendingPerson } from './people.ts'
import { type Operator, Relay } from './relay.ts'
import { Seed } from './seed.ts'
import { forget, unwiped } from './watch.ts'

/** A pairing over a hostile relay, with both real SDKs and the two people in front of them. */

export interface Plan {
  readonly seed: Seed
  /** Asked once the relay is there, so that an attacker can look into it. Some have seen the code over a shoulder. */
  readonly operators?: (relay: Relay, code: () => string) => readonly Operator[]
  /** Payload: for each transfer the bytes of its items. */
  readonly transfers?: readonly (readonly Uint8Array[])[]
  /** Paths are as long as they may be. */
  readonly longNames?: boolean
  /** Makes the receiver's input from the code that the sender shows. */
  readonly typed?: (code: string) => string
  /** True when the sender's person approves the other device's number. */
  readonly approves?: boolean
  /** A run under the same code succeeds before the attack begins. */
  readonly rehearsed?: boolean
  /** Finds out afterwards what was taken from the budgets. */
  readonly budgets?: boolean
}

export interface Outcome {
  readonly relay: Relay
  readonly code: string
  readonly sender: {
    /** First news to its app; `waits` when there was none in all the time that people have. */
    readonly names: PairingErrorCode | 'delivered' | 'waits'
    /** The numbers of the verified devices that its person sees, rehearsals left out. */
    readonly rows: readonly string[]
    /** Faults that its person saw. */
    readonly faults: readonly string[]
    /** Receipts that say `delivered`. */
    readonly delivered: number
    /** Wrong guesses counted; undefined when it admits nobody any more, or nobody asked. */
    readonly guesses: number | undefined
  }
  readonly receiver: {
    readonly names: PairingErrorCode | 'complete' | 'waits'
    /** The match number that its person was shown. */
    readonly number: string | undefined
    /** Items given to its app: for each transfer their bytes. */
    readonly received: readonly (readonly Uint8Array[])[]
    /** Transfers of which it believes to have everything. */
    readonly complete: number
    readonly tags: number | undefined
  }
  /** Secrets that were still there when a device had named an error, and when both were put away. */
  readonly unwiped: readonly string[]
}

export const RELAY = 'https://relay.test'
/** How long people wait before they give up. Longer than every time-out of the SDK. */
const PATIENCE_MS = 100_000
export const TRANSFERS = [[new Uint8Array(100_000).fill(97)]]

export async function play(plan: Plan): Promise<Outcome> {
  forget()
  const { name } = plan.seed
  const time = new FakeTime()
  const relay = new Relay(time, new Seed(name, 'relay'))
  const receiverSeed = new Seed(name, 'receiver')
  let shownCode = ''
  const attack = () => {
    relay.operators = plan.operators?.(relay, () => shownCode) ?? []
  }
  if (!plan.rehearsed) attack()
  const sendersOwn = device('sender', new Seed(name, 'sender'), relay)
  const sender = await Sender.open({ relay: RELAY, receivers: 2, environment: sendersOwn })
  shownCode = sender.code
  const code = plan.typed?.(sender.code) ?? sender.code
  const receiving = new ReceivingPerson()
  const environment = device('receiver', receiverSeed, relay)
  const fetch: typeof environment.fetch = (...asked) => {
    receiving.busy = false
    return environment.fetch(...asked)
  }
  const join = () => Receiver.join({ relay: RELAY, code, environment: { ...environment, fetch } })
  if (plan.rehearsed) {
    await rehearse(await join())
    receiving.busy = true
    attack()
  }

  let guesses: number | undefined
  const spendGuesses = async () => {
    const left = plan.budgets ? await guessesLeft(relay, plan.seed) : undefined
    if (left !== undefined) guesses = GUESSES - left
  }
  const sending = new SendingPerson(sender, receiving.shown, {
    transfers: plan.transfers ?? TRANSFERS,
    rehearsals: plan.rehearsed ? 1 : 0,
    approves: plan.approves ?? true,
    longNames: plan.longNames ?? false,
  })
  sending.beforeGoodbye = spendGuesses
  void receiving.act(join)
  void sending.act()
  await until(
    time,
    PATIENCE_MS,
    () => sending.done && receiving.done,
    () => sending.busy || receiving.busy,
  )

  const named = { sender: sending.names, receiver: receiving.names }
  const left = [
    ...(named.sender === 'waits' ? [] : unwiped('sender: ')).filter((what) => what.includes('random')),
    ...(named.receiver === 'waits' ? [] : unwiped('receiver: ')),
  ]
  if (!sending.said) await spendGuesses()
  await until(time, PATIENCE_MS, watched(Promise.all([sender.cancel(), receiving.leave()])))
  await settled()
  left.push(...unwiped())
  const tags = plan.budgets ? TAGS - (await tagsLeft(code, receiverSeed, plan.seed)) : undefined
  return {
    relay,
    code: sender.code,
    sender: { names: named.sender, rows: sending.rows, faults: sending.faults, delivered: sending.delivered, guesses },
    receiver: {
      names: named.receiver,
      number: receiving.number,
      received: receiving.received,
      complete: receiving.complete,
      tags: tags === undefined || !plan.rehearsed ? tags : tags - 1,
    },
    unwiped: left,
  }
}

async function rehearse(receiver: Receiver): Promise<void> {
  await receiver.verified
  await settled()
  await receiver.close()
  await settled()
}

/** Lets what can happen happen, and time pass when nothing can. Gives up after so much time. */
export async function until(
  time: FakeTime,
  patienceMs: number,
  done: () => boolean,
  busy: () => boolean = () => false,
): Promise<void> {
  for (const end = time.now() + patienceMs; !done(); ) {
    await settled()
    if (done()) return
    if (busy()) continue
    const next = time.due[0]
    if (next === undefined || time.now() + next > end) return
    await time.advance(next)
  }
}

/** Reports whether a promise has been settled, without waiting for it. */
export function watched(promise: Promise<unknown>): () => boolean {
  let settled = false
  const settle = () => {
    settled = true
  }
  promise.then(settle, settle)
  return () => settled
}
