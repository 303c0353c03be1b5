import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { bytesSource, Sender } from '../../../src/client/index.ts'
import {
  describeConcurrent,
  MIB,
  type Outcome,
  openFile,
  openPlain,
  openSender,
  pairlay,
  relayOfFile,
  run,
  take,
  temporaryDirectory,
} from '../../cli/support.ts'

/** How long each side stays: for one offer or for more, and for how long when nothing happens. */

const relay = relayOfFile()
const { env } = relay

/** Longer than a slow machine takes from one step to the next. */
const STEP = '15'

function lastLine({ stderr }: Outcome): string | undefined {
  return stderr.trimEnd().split('\n').at(-1)
}

/** A sender in this process, and a function that offers something and tells what became of it. */
async function openOfferer() {
  const sender = await Sender.open({ relay: relay.url })
  const approved = (async () => {
    for await (const request of sender.requests()) return request.approve()
    return undefined
  })()
  const give = async (name: string) => {
    const device = await approved
    return device?.send([bytesSource(Buffer.from(name), name)]).then(
      ({ bytes }) => bytes,
      (error) => error.code,
    )
  }
  return { code: sender.code, give, close: () => sender.close() }
}

describeConcurrent('a receiver', () => {
  test('takes one offer and says goodbye', async () => {
    const { code, give, close } = await openOfferer()
    const { path } = await temporaryDirectory()
    const receiver = pairlay(['receive', code, '--yes'], { env, cwd: path })
    expect([await give('one'), await give('two')]).toEqual([3, 'closing'])
    await close()
    expect((await receiver.ended()).exitCode).toBe(0)
    expect(await readdir(path)).toEqual(['one'])
  })

  test('stays with --keep for all that the sender offers, until that says goodbye', async () => {
    const { code, give, close } = await openOfferer()
    const { path } = await temporaryDirectory()
    const receiver = pairlay(['receive', code, '--yes', '--keep'], { env, cwd: path })
    expect([await give('one'), await give('two')]).toEqual([3, 3])
    await receiver.says(/Waiting for what else it sends …\n(?:.*\n)*Waiting for what else it sends …\n$/)
    await close()
    expect((await receiver.ended()).exitCode).toBe(0)
    expect((await readdir(path)).sort()).toEqual(['one', 'two'])
  })

  test('stays with --keep when it declines one, and exit 5 tells that not all was received', async () => {
    const { code, give, close } = await openOfferer()
    const { path } = await temporaryDirectory()
    const receiver = pairlay(['receive', code, '--keep', '--json'], { env, cwd: path, stdin: 'n\ny\n' })
    expect([await give('one'), await give('two')]).toEqual(['declined', 3])
    await close()
    expect((await receiver.ended()).exitCode).toBe(5)
    const message = 'Refused. Nothing was saved.'
    expect(await receiver.event('not_received')).toEqual({ event: 'not_received', code: 'declined', message })
    expect(await readdir(path)).toEqual(['two'])
  })
})

describeConcurrent('with --timeout', () => {
  test('a sender to whom nobody comes is exit 3, and its code is of no use any more', async () => {
    const { sender, code } = await openFile(['--yes', '--timeout', '1'], { env })
    const sent = await sender.ended()
    const line = 'pairlay: No device has come within 1 s. The code is of no use any more.'
    expect([sent.exitCode, lastLine(sent)]).toEqual([3, line])
    await expect(take(relay, code)).rejects.toMatchObject({ code: 'code_not_found' })
  })

  test('a sender to whom fewer come than may sends to those', async () => {
    const { sender, code } = await openFile(['--yes', '--receivers', '2', '--timeout', STEP], { env })
    const receiver = await take(relay, code)
    expect(await receiver.taken).toEqual({ items: ['content'] })
    expect((await sender.ended()).exitCode).toBe(0)
  })

  test('a sender whose receiver takes nothing more is exit 5, and tells it', async () => {
    const { sender, code } = await openPlain(['--yes', '-', '--timeout', STEP], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(16 * MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env, stdoutUnread: true })
    const sent = await sender.ended()
    expect([sent.exitCode, lastLine(sent)]).toEqual([5, `pairlay: Nothing has moved for ${STEP} s.`])
    receiver.readStdout()
    expect((await receiver.ended()).exitCode).toBe(5)
  })

  test('a sender whose offer nobody answers is exit 5, and takes it back', async () => {
    const { sender, code } = await openFile(['--yes', '--timeout', STEP], { env })
    const receiver = pairlay(['receive', code], { env, stdin: 'open' })
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, lastLine(sent)]).toEqual([5, `pairlay: No device has answered for ${STEP} s.`])
    expect(lastLine(received)).toBe('pairlay: The sender took its offer back. Nothing was saved.')
  })

  test('a receiver whom nobody approves is exit 3, and the sender sees it leave', async () => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    const received = await run(['receive', code, '--yes', '--timeout', '2'], { env })
    const line = 'pairlay: The sender has not approved this device within 2 s.'
    expect([received.exitCode, lastLine(received)]).toEqual([3, line])
    await sender.kill()
  })

  test('a receiver whose sender sends nothing more is exit 5, and the sender is told', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    await sender.write('some')
    const received = await run(['receive', code, '--yes', '-o', '-', '--timeout', STEP], { env })
    expect([received.exitCode, lastLine(received)]).toEqual([5, `pairlay: Nothing has moved for ${STEP} s.`])
    expect(await sender.event('not_delivered')).toMatchObject({ code: 'cancelled' })
    expect((await sender.ended()).exitCode).toBe(5)
  })

  test('and --keep a receiver ends well when nothing more is offered', async () => {
    const { code, give } = await openOfferer()
    const { path } = await temporaryDirectory()
    const receiver = pairlay(['receive', code, '--yes', '--keep', '--timeout', STEP], { env, cwd: path })
    expect(await give('one')).toBe(3)
    expect((await receiver.ended()).exitCode).toBe(0)
  })
})
