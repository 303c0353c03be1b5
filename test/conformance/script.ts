import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { type Answer, call, createSession, freshCode, Receiver, Sender, tryToJoin, type View } from './client.ts'
import { Device, hex } from './device.ts'
import { expectClosed } from './documented.ts'
import { isForeign, type Relay } from './relay.ts'

/** PROTOCOL.md, section 12.1, played as it is written. Its limits are those of a relay with the default settings. */
export function script(relay: Relay): void {
  test.skipIf(isForeign)('the plain pairing of section 12.1 is what the relay does, to the byte', async () => {
    const senderCode = freshCode()
    const created = await createSession(relay, { ...written(1)[0], senderCode })
    expectWritten(created, 201, written(1)[1])
    const sender = new Sender(relay, senderCode, created.body as never)
    const S = await Device.open(relay, sender.sessionId)
    S.send(JSON.stringify({ ...written(2)[0], token: sender.token }))
    expectView(await S.nextView(), written(2)[1])

    const joined = await tryToJoin(relay, senderCode, { ...written(3)[0], senderCode })
    expectWritten(joined, 201, written(3)[1])
    expectView(await S.nextView(), written(3)[2])
    const receiver = new Receiver(relay, written(3)[0] as never, joined.body as never)
    const R = await Device.open(relay, receiver.sessionId)
    R.send(JSON.stringify({ ...written(4)[0], token: receiver.token }))
    expectView(await R.nextView(), written(4)[1])
    expect((await S.nextView()).receivers).toMatchObject([{ present: true }])
    expect(await S.nextAck()).toBe(ackIn(frames(4)[0]))

    const [m1, m2, m3, m4] = [1_248, 1_184, 64, 64].map((size, i) => Buffer.alloc(size, i + 1))
    R.send(Buffer.concat([frames(5)[0], m1]))
    expect((await S.nextData()).bytes).toEqual(Buffer.concat([frames(5)[0], m1]))
    for (const [step, from, to, message] of [
      [6, S, R, m2],
      [7, R, S, m3],
      [8, S, R, m4],
    ] as const) {
      const [acked, header] = frames(step)
      from.send(acked, Buffer.concat([header, message]))
      expect(await to.nextAck()).toBe(ackIn(acked))
      expect((await to.nextData()).bytes).toEqual(Buffer.concat([header, message]))
    }
    R.send(frames(8)[2])

    expect((await sender.decide(receiver.receiverCode, written(9)[0].decision as string)).status).toBe(204)
    for (const device of [S, R]) {
      const view = await device.nextView(({ receivers }) => receivers[0].state === 'approved')
      expect(view).toMatchObject({ joinable: false, channels: [{ window: 262_272 }] })
    }
    const pass = async (from: Device, to: Device, seq: number, acked?: Buffer) => {
      if (acked) from.send(acked)
      const bytes = sealed(seq)
      from.send(bytes)
      while (acked && (await to.nextAck()) !== ackIn(acked));
      expect((await to.nextData()).bytes).toEqual(bytes)
    }
    expect(sealed(3).subarray(0, 8)).toEqual(frames(10)[0])
    await pass(S, R, 3)
    await pass(R, S, 3, frames(10)[1])
    await pass(S, R, 4)
    await pass(R, S, 4)
    await pass(S, R, 5)
    await pass(S, R, 6)
    await pass(R, S, 5, frames(14)[0])
    await pass(S, R, 7, frames(15)[0])
    await pass(R, S, 6, frames(15)[1])
    S.send(frames(16)[0])
    while ((await R.nextAck()) !== ackIn(frames(16)[0]));
    expect((await receiver.call('DELETE', '/receivers/7F3KQ2')).status).toBe(204)
    R.close()
    expect(await S.nextView(({ channels }) => channels.length === 0)).toMatchObject({
      receivers: [{ receiverCode: '7F3KQ2', channel: 1, state: 'done' }],
    })

    expect((await call(relay, 'DELETE', `/v1/sessions/${sender.sessionId}`, { token: sender.token })).status).toBe(204)
    expectView(await S.nextView(({ state }) => state === 'closed'), written(17)[0])
    await expectClosed(S, 'session_gone')
  })
}

/** A part of PROTOCOL.md, from the line that starts like this to the next of its level. */
function section(start: string): string {
  const protocol = readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8')
  const from = protocol.indexOf(`\n${start}`) + 1
  const to = protocol.indexOf(`\n${start.split(' ')[0]} `, from)
  return protocol.slice(from, to < 0 ? undefined : to)
}

function spansOf(step: number): string[] {
  const text = section('### 12.1 ').split(/^\d+\. /m)[step]
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span]) => span)
}

/** The JSON objects in a step. */
function written(step: number): Record<string, unknown>[] {
  return spansOf(step)
    .filter((span) => /^\{.*\}$/.test(span))
    .map((span) => JSON.parse(span))
}

/** The frames in a step, of data frames the header. */
function frames(step: number): Buffer[] {
  return spansOf(step)
    .filter((span) => /^0[12]00[0-9a-f]{12}$/.test(span))
    .map(hex)
}

/** A data frame of channel 1 with a message of one chunk, of the length that each of the script has. */
function sealed(seq: number): Buffer {
  return Buffer.concat([hex(`01000001${seq.toString(16).padStart(8, '0')}`), Buffer.of(1), Buffer.alloc(272, seq)])
}

function ackIn(frame: Buffer): string {
  return `${frame.readUInt16BE(2)}/${frame.readUInt32BE(4)}`
}

/** An answer as written, but for what is random or runs. */
function expectWritten(answer: Answer, status: number, body: Record<string, unknown>): void {
  const { sessionId, token } = answer.body as Record<string, unknown>
  expect(answer.status).toBe(status)
  expect(answer.body).toEqual({ ...body, sessionId, token, expiresInMs: expect.any(Number) })
}

function expectView(view: View, body: Record<string, unknown>): void {
  expect(view).toEqual({ ...body, expiresInMs: expect.any(Number) })
}
