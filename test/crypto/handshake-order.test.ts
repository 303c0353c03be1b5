import { describe, expect, it } from 'vitest'
import { HandshakeError, ReceiverHandshake, SenderHandshake } from '../../src/crypto/handshake.ts'
import {
  attackingReceiver,
  attackingSender,
  code,
  m1,
  m2,
  m3,
  m4,
  newReceiver,
  newSender,
  publicKey,
  receiverAwaitingM2,
  receiverAwaitingM4,
  receiverCode,
  senderAwaitingM3,
  sessionId,
} from './runs.ts'
import { seededRandom, thrownBy } from './support.ts'

const failure = 'The code was wrong or someone interfered. Get a new code.'

/** The call fails with the one error, as no guess, and leaves nothing that any later message could wake. */
function expectEnd(run: SenderHandshake | ReceiverHandshake, call: () => unknown): void {
  expect(thrownBy(call)).toMatchObject({ name: 'HandshakeError', message: failure, guessSpent: false })
  const later =
    run instanceof SenderHandshake
      ? [() => run.answerM1(m1), () => run.answerM3(m3)]
      : [() => run.start(sessionId), () => run.answerM2(m2), () => run.finish(m4)]
  for (const attacker of later) expect(thrownBy(attacker)).toBeInstanceOf(HandshakeError)
}

/** The run after another step. */
function stepped<Run>(run: Run, step: (run: Run) => unknown): Run {
  step(run)
  return run
}

describe('the sender', () => {
  const again = (sender: SenderHandshake) => sender.answerM3(m3)
  const wrongM3 = m3.slice().fill(0, 32)

  it.each<[string, () => SenderHandshake, (attacked: SenderHandshake) => unknown]>([
    ['answers a second m1', senderAwaitingM3, (sender) => sender.answerM1(m1)],
    ['answers a second m1 from someone else', senderAwaitingM3, (sender) => sender.answerM1(attackingReceiver().m1)],
    ['answers m3 before m1', newSender, again],
    ['answers m3 twice, not even after a valid one', () => stepped(senderAwaitingM3(), again), again],
    [
      'looks at a second m3 after a wrong one: one run is one guess',
      () =>
        stepped(senderAwaitingM3(), (sender) =>
          expect(thrownBy(() => sender.answerM3(wrongM3))).toMatchObject({ guessSpent: true }),
        ),
      again,
    ],
    ['answers anything after wipe', () => stepped(senderAwaitingM3(), (sender) => sender.wipe()), again],
  ])('never %s', (_, make, attack) => {
    const sender = make()
    expectEnd(sender, () => attack(sender))
  })
})

describe('the receiver', () => {
  it('never answers a second m2, not even a valid one: its point is open by then', () => {
    const attacker = attackingSender()
    const receiver = newReceiver()
    const started = receiver.start(sessionId)
    receiver.answerM2(m2)
    const second = attacker.answerM1(receiver.publicKey, started)
    expectEnd(receiver, () => receiver.answerM2(second))
  })

  const finish = (receiver: ReceiverHandshake) => receiver.finish(m4)
  const answer = (receiver: ReceiverHandshake) => receiver.answerM2(m2)

  it.each<[string, () => ReceiverHandshake, (attacked: ReceiverHandshake) => unknown]>([
    ['answers the same m2 twice', receiverAwaitingM4, answer],
    ['starts twice', receiverAwaitingM2, (receiver) => receiver.start(sessionId)],
    ['answers m2 before it started', newReceiver, answer],
    ['finishes before it started', newReceiver, finish],
    ['finishes before m2', receiverAwaitingM2, finish],
    ['finishes twice', () => stepped(receiverAwaitingM4(), finish), finish],
    ['finishes after a wrong m4', receiverAwaitingM4, (receiver) => receiver.finish(m4.slice().fill(0, 32))],
    ['answers anything after wipe', () => stepped(receiverAwaitingM4(), (receiver) => receiver.wipe()), finish],
  ])('never %s', (_, make, attack) => {
    const receiver = make()
    expectEnd(receiver, () => attack(receiver))
  })
})

describe('what does not have its shape', () => {
  const otherLengths = (message: Uint8Array) => [
    new Uint8Array(),
    message.slice(0, -1),
    message.slice(1),
    Uint8Array.from([...message, 0]),
    Uint8Array.from([...message, ...message]),
  ]

  it('is no m1, m2, m3 or m4', () => {
    const taking = <Run extends SenderHandshake | ReceiverHandshake>(
      message: Uint8Array,
      make: () => Run,
      take: (run: Run, attacker: Uint8Array) => unknown,
    ) => {
      for (const attacker of otherLengths(message)) {
        const run = make()
        expectEnd(run, () => take(run, attacker))
      }
    }
    taking(m1, newSender, (sender, attacker) => sender.answerM1(attacker))
    taking(m2, receiverAwaitingM2, (receiver, attacker) => receiver.answerM2(attacker))
    taking(m3, senderAwaitingM3, (sender, attacker) => sender.answerM3(attacker))
    taking(m4, receiverAwaitingM4, (receiver, attacker) => receiver.finish(attacker))
  })

  const lastSymbols = [...'BCDEFGHIJKLMNOP'] // the id of the vector ends in _w; these differ in bits a decoder drops
  const otherSessionIds = [
    ...lastSymbols.map((symbol) => `AAAAAAAAAAAAAAAAAAAAA${symbol}`),
    `${sessionId}==`,
    sessionId.slice(1),
    `${sessionId}A`,
    ` ${sessionId.slice(1)}`,
    `+${sessionId.slice(1)}`,
    `/${sessionId.slice(1)}`,
    `${sessionId}\n`,
    '',
  ]

  it.each(otherSessionIds)('is no session id: %j', (attacker) => {
    const receiver = newReceiver()
    expectEnd(receiver, () => receiver.start(attacker))
    expect(thrownBy(() => newSender({ sessionId: attacker }))).toBeInstanceOf(HandshakeError)
  })

  it('is no receiver code', () => {
    for (const attacker of ['', '7F3KQ', '7F3KQ22', '7f3kq2', '7F3KQU', '7F3KQO', '7F3KQ2\n']) {
      expect(thrownBy(() => newSender({ receiverCode: attacker }))).toBeInstanceOf(HandshakeError)
      const options = { code, receiverCode: attacker, random: seededRandom(1) }
      expect(thrownBy(() => new ReceiverHandshake(options))).toBeInstanceOf(HandshakeError)
    }
  })

  it('is no public key', () => {
    for (const attacker of [publicKey.slice(1), new Uint8Array(33), new Uint8Array()]) {
      expect(thrownBy(() => newSender({ receiverPublicKey: attacker }))).toBeInstanceOf(HandshakeError)
    }
  })
})

describe('what is pinned at first sight', () => {
  it('does not follow a buffer that is used again', () => {
    const attacker = { receiverPublicKey: publicKey.slice(), m1: m1.slice(), m2: m2.slice() }
    const sender = newSender({ receiverPublicKey: attacker.receiverPublicKey })
    attacker.receiverPublicKey.fill(0)
    sender.answerM1(attacker.m1)
    attacker.m1.fill(0)
    const receiver = receiverAwaitingM2()
    receiver.answerM2(attacker.m2)
    attacker.m2.fill(0)
    const { m4: answer, peer } = sender.answerM3(m3)
    expect(receiver.finish(answer).matchNumber).toBe(peer.matchNumber)
  })
})

describe('two runs', () => {
  it('share nothing, not even with the same code and receiver', () => {
    const random = seededRandom(5)
    const runs = [1, 2].map(() => {
      const receiver = new ReceiverHandshake({ code, receiverCode, random })
      const receiverPublicKey = receiver.publicKey
      const sender = new SenderHandshake({ code, sessionId, receiverCode, receiverPublicKey, random })
      const { m4, peer } = sender.answerM3(receiver.answerM2(sender.answerM1(receiver.start(sessionId))))
      expect(receiver.finish(m4).matchNumber).toBe(peer.matchNumber)
      return peer
    })
    for (const field of ['sendKey', 'receiveKey', 'fingerprint'] as const) {
      expect(runs[0][field]).not.toEqual(runs[1][field])
    }
  })

  it('do not mix: a valid m3 of one is not a valid m3 of the other', () => {
    const random = seededRandom(6)
    const receiver = new ReceiverHandshake({ code, receiverCode, random })
    const receiverPublicKey = receiver.publicKey
    const make = () => new SenderHandshake({ code, sessionId, receiverCode, receiverPublicKey, random })
    const [first, second] = [make(), make()]
    const started = receiver.start(sessionId)
    const attacker = receiver.answerM2(first.answerM1(started))
    second.answerM1(started)
    expect(thrownBy(() => second.answerM3(attacker))).toMatchObject({ guessSpent: true })
  })
})

describe('a random source', () => {
  it('that gives too little, or a zero scalar, ends the run', () => {
    const zeros = (length: number) => new Uint8Array(length)
    const short = (length: number) => new Uint8Array(length - 1).fill(1)
    for (const random of [zeros, short]) {
      const sender = newSender({ random })
      expectEnd(sender, () => sender.answerM1(m1))
    }
    const receiver = new ReceiverHandshake({ code, receiverCode, random: zeros })
    expectEnd(receiver, () => receiver.start(sessionId))
    expect(thrownBy(() => new ReceiverHandshake({ code, receiverCode, random: short }))).toBeInstanceOf(HandshakeError)
  })
})
