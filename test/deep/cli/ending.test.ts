import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { bytesSource, PAIRING_ERRORS, Sender } from '../../../src/client/index.ts'
import { decodeFrame } from '../../../src/protocol/frame.ts'
import {
  describeConcurrent,
  eventually,
  foreignControls,
  MIB,
  type Outcome,
  offer,
  openFile,
  openPlain,
  openSender,
  type Program,
  pairlay,
  RelayProgram,
  relayOfFile,
  run,
  startTransfer,
  take,
  temporaryDirectory,
} from '../../cli/support.ts'
import { DeviceWorld } from '../../e2e/world.ts'

const relay = relayOfFile()
const { env } = relay

const STOPPED = 'Stopped.'
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

function lastLine({ stderr }: Outcome): string | undefined {
  return stderr.trimEnd().split('\n').at(-1)
}

/** Runs a test once for each signal, side by side. */
function bySignal(name: string, body: (signal: NodeJS.Signals) => Promise<void>): void {
  test(`${name}, by Ctrl-C and by SIGTERM`, async () => {
    await Promise.all(SIGNALS.map(body))
  })
}

describeConcurrent('a sender that is stopped', () => {
  bySignal('while it waits is exit 130, and its code is of no use any more', async (signal) => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    sender.signal(signal)
    const outcome = await sender.ended()
    expect([outcome.exitCode, lastLine(outcome)]).toEqual([130, STOPPED])
    await expect(take(relay, code)).rejects.toMatchObject({ code: 'code_not_found' })
  })

  bySignal('while it asks is exit 130, and 3 at the device that waits', async (signal) => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    const receiver = pairlay(['receive', code], { env, stdin: 'open' })
    await Promise.all([sender.says(/\[y\/N\] $/), receiver.says('Waiting for its approval')])
    sender.signal(signal)
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, lastLine(sent)]).toEqual([130, STOPPED])
    expect(received.exitCode).toBe(3)
    expect(lastLine(received)).toBe(`pairlay: ${PAIRING_ERRORS.closed_by_sender}`)
  })

  bySignal('in mid-transfer is exit 130, and 5 at the receiver, which keeps nothing', async (signal) => {
    const { sender, receiver, path } = await startTransfer(relay)
    sender.signal(signal)
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([sent.exitCode, lastLine(sent)]).toEqual([130, STOPPED])
    expect(received.exitCode).toBe(5)
    expect(lastLine(received)).toContain(`pairlay: ${PAIRING_ERRORS.cancelled}`)
    expect(await readdir(path)).toEqual([])
  })
})

describeConcurrent('a receiver that is stopped', () => {
  bySignal('while it asks for the code ends as any program does', async (signal) => {
    const receiver = pairlay(['receive'], { env, stdin: 'open' })
    await receiver.says('Code: ')
    await receiver.signal(signal)
    expect((await receiver.ended()).exitCode).toBe(signal === 'SIGINT' ? 130 : 143)
  })

  bySignal('while it waits is exit 130, and the sender’s question is withdrawn: it waits on', async (signal) => {
    const { sender, code } = await openFile([], { env, stdin: 'open' })
    const receiver = pairlay(['receive', code], { env, stdin: 'open' })
    const [[, number]] = await Promise.all([
      sender.says(/show (\d{3} \d{3})\? \[y\/N\] $/),
      receiver.says('Waiting for its approval'),
    ])
    receiver.signal(signal)
    const received = await receiver.ended()
    expect([received.exitCode, lastLine(received)]).toEqual([130, STOPPED])
    await sender.says(new RegExp(`\\[y/N\\] \nThe device with ${number} has left\\.\n$`))
    expect(sender.running).toBe(true)
    sender.signal(signal)
    expect((await sender.ended()).exitCode).toBe(130)
  })

  bySignal('while it is asked is exit 130, and the sender has delivered nothing', async (signal) => {
    const { code, delivered } = await offer(relay, { file: 'content' })
    const receiver = pairlay(['receive', code, '-o', '-'], { env, stdin: 'open' })
    await receiver.says(/\[y\/N\] $/)
    receiver.signal(signal)
    const received = await receiver.ended()
    expect([received.exitCode, lastLine(received)]).toEqual([130, STOPPED])
    expect(await delivered).toEqual([false])
  })

  bySignal('in mid-transfer is exit 130, and 5 at the sender, which says why', async (signal) => {
    const { sender, receiver, path } = await startTransfer(relay)
    receiver.signal(signal)
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect([received.exitCode, lastLine(received)]).toEqual([130, STOPPED])
    expect(sent.exitCode).toBe(5)
    expect(lastLine(sent)).toMatch(/^Not delivered to \d{3} \d{3}\. /)
    expect(lastLine(sent)).toContain(PAIRING_ERRORS.cancelled)
    expect(await readdir(path)).toEqual([])
  })

  test('or whose sender is, in the middle of a pipe, says how much of it is there', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(2 * MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env })
    await receiver.until('the first MiB', () => receiver.stdout.length > MIB || undefined)
    sender.signal('SIGINT')
    const { exitCode, stderr } = await receiver.ended()
    expect(exitCode).toBe(5)
    expect(stderr).toMatch(/\nThe output is not whole: it ends after [12]\.\d MiB\.\npairlay: /)
    await sender.ended()
  })

  test('while nobody reads its output ends all the same', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    void sender.write(Buffer.alloc(16 * MIB))
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env, stdoutUnread: true })
    await receiver.says('The sender offers')
    receiver.signal('SIGINT')
    const received = await receiver.ended()
    expect([received.exitCode, lastLine(received)]).toEqual([130, STOPPED])
    expect((await sender.ended()).exitCode).toBe(5)
  })
})

describeConcurrent('a receiver that is asked', () => {
  /** A receiver with a question about a file, and its sender. */
  async function openAsked(own: { readonly url: string } = relay) {
    const { at, path } = await temporaryDirectory()
    const { sender, code } = await openPlain(['--yes', '-', '--relay', own.url], { stdin: 'content' })
    const receiver = pairlay(['receive', code, '-o', at('file'), '--relay', own.url], { stdin: 'open' })
    await receiver.says(/\[y\/N\] $/)
    return { sender, receiver, at, path }
  }

  test('is asked no longer when the sender has ended the session', async () => {
    const { sender, receiver, path } = await openAsked()
    sender.signal('SIGINT')
    const received = await receiver.ended()
    const line = 'pairlay: The sender took its offer back. Nothing was saved.'
    expect([received.exitCode, lastLine(received)]).toEqual([5, line])
    expect(received.stderr).toMatch(/\[y\/N\] \npairlay:/)
    expect(await readdir(path)).toEqual([])
    expect((await sender.ended()).exitCode).toBe(130)
  })

  test('and declines is named so at the sender', async () => {
    const { sender, receiver } = await openAsked()
    await receiver.write('n\n')
    expect((await receiver.ended()).exitCode).toBe(5)
    const sent = await sender.ended()
    expect([sent.exitCode, lastLine(sent)?.replace(/\d{3} \d{3}/, 'N')]).toEqual([
      5,
      `Not delivered to N. ${PAIRING_ERRORS.declined}`,
    ])
  })

  /** A receiver that has saved a file, and whose receipt never arrives. */
  async function openUnheard(own: { readonly url: string } = relay) {
    const { at, path } = await temporaryDirectory()
    const world = await DeviceWorld.create()
    const sender = await Sender.open({ relay: own.url, environment: world.environment })
    // Its hello and its answer come, and nothing after that.
    world.hooks.incoming = (data) => (typeof data !== 'string' && decodeFrame(data).seq > 4 ? undefined : data)
    const receiver = pairlay(['receive', sender.code, '--yes', '-o', at('file'), '--relay', own.url])
    for await (const request of sender.requests()) await request.approve()
    void sender.send([bytesSource(Buffer.from('content'), 'file')])
    await receiver.says('Saved ')
    return { sender, receiver, path }
  }

  test('and whose sender is not heard any more saves the file, and says that nothing is certain', async () => {
    const { sender, receiver, path } = await openUnheard()
    const [line] = await receiver.says(/Received .*/)
    expect(line).toMatch(/^Received 7 bytes in .*\. Whether the sender knows is not certain\.$/)
    expect(await readdir(path)).toEqual(['file'])
    receiver.signal('SIGINT')
    expect((await receiver.ended()).exitCode).toBe(130)
    await sender.cancel()
  })

  test('and saves a file before its session is lost is told that the sender does not know', async () => {
    const own = await RelayProgram.start()
    const { receiver, path } = await openUnheard(own)
    process.kill(own.pid, 'SIGTERM')
    const received = await receiver.ended()
    expect(received.exitCode).toBe(5)
    expect(received.stderr).toMatch(/\nReceived 7 bytes in .*\. But the sender does not know\.\npairlay: /)
    expect(await readdir(path)).toEqual(['file'])
  })
})

describeConcurrent('a receiver that has everything', () => {
  test('is told of and let go while another one still decides, and Ctrl-C changes nothing about it', async () => {
    const { sender, code, at } = await openFile(['--yes', '--receivers', '2'], { env })
    const slow = pairlay(['receive', code, '-o', at('slow')], { env, stdin: 'open' })
    await slow.says('Waiting for its approval')
    const quick = await run(['receive', code, '--yes', '-o', at('quick')], { env })
    expect([quick.exitCode, lastLine(quick)]).toEqual([
      0,
      expect.stringContaining('The relay says that the sender knows.'),
    ])
    await sender.says(/\nDelivered to \d{3} \d{3}: 7 bytes /)
    await slow.says(/\[y\/N\] $/)
    await sender.signal('SIGINT')
    const sent = await sender.ended()
    expect(sent.exitCode).toBe(130)
    expect(sent.stderr).toMatch(/\nDelivered to .*\n(.*\n)*Not delivered to /)
    expect((await slow.ended()).exitCode).toBe(5)
  })
})

describeConcurrent('a device that is gone without a word', () => {
  const AWAY = /\nThe other device is not connected\. Waiting for it until \d\d:\d\d; Ctrl-C gives up\.\n/

  test.each(['sender', 'receiver'] as const)('is told of at the other side, when it was the %s', async (gone) => {
    const { sender, receiver } = await startTransfer(relay)
    const [killed, left] = gone === 'sender' ? [sender, receiver] : [receiver, sender]
    killed.signal('SIGKILL')
    await left.says(AWAY)
    left.signal('SIGINT')
    expect((await left.ended()).exitCode).toBe(130)
  })
})

describeConcurrent('a relay that', () => {
  /** A relay, and a sender and a receiver in the middle of a transfer over it. */
  async function startOver() {
    const own = await RelayProgram.start()
    return { own, ...(await startTransfer(own)) }
  }

  async function expectBoth(sender: Program, receiver: Program, message: string): Promise<void> {
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect(lastLine(sent)).toMatch(/^Not delivered to \d{3} \d{3}\. /)
    expect(lastLine(sent)).toContain(message)
    expect(lastLine(received)).toBe(`pairlay: ${message}`)
    expect([sent.exitCode, received.exitCode]).toEqual([5, 5])
    expect(foreignControls(sent.stderr + received.stderr)).toEqual([])
  }

  test.each(['comes back', 'does not'])(
    'crashes in mid-transfer and %s is told as it is on both sides',
    async (then) => {
      const { own, sender, receiver, path } = await startOver()
      await own.stop('SIGKILL')
      const lost = 'The connection to the relay is lost. Trying again …'
      await Promise.all([sender.says(lost), receiver.says(lost)])
      if (then === 'comes back') {
        await own.restart()
        await expectBoth(sender, receiver, PAIRING_ERRORS.session_lost)
      } else {
        for (const program of [sender, receiver]) program.signal('SIGINT')
        for (const { exitCode, stderr } of await Promise.all([sender.ended(), receiver.ended()])) {
          expect([exitCode, stderr.includes('is not connected')]).toEqual([130, false])
        }
      }
      expect(await readdir(path)).toEqual([])
    },
  )

  test('shuts down in mid-transfer is exit 5 on both sides, which say so', async () => {
    const { own, sender, receiver, path } = await startOver()
    await own.stop('SIGTERM')
    await expectBoth(sender, receiver, PAIRING_ERRORS.shutting_down)
    expect(await readdir(path)).toEqual([])
  })

  test.each(['SIGINT', 'SIGQUIT', 'SIGTERM'] as const)(
    'does not answer keeps nobody who wants to leave, by %s',
    async (signal) => {
      const { own, sender, receiver, path } = await startOver()
      process.kill(own.pid, 'SIGSTOP')
      sender.signal(signal)
      receiver.signal(signal)
      const outcomes = await Promise.all([sender.ended(), receiver.ended()])
      process.kill(own.pid, 'SIGCONT')
      expect(await readdir(path)).toEqual([])
      for (const outcome of outcomes) expect([outcome.exitCode, lastLine(outcome)]).toEqual([130, 'Stopped.'])
    },
  )
})

describeConcurrent('a hang-up', () => {
  test('ends nothing that has no terminal', async () => {
    const { sender, code } = await openSender(['-'], { env, stdin: 'open' })
    const receiver = pairlay(['receive', code, '--yes', '-o', '-'], { env })
    await receiver.says('Approved')
    for (const program of [sender, receiver]) program.signal('SIGHUP')
    sender.endStdin()
    expect([(await receiver.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
  })
})

describeConcurrent('a second Ctrl-C', () => {
  test('ends a sender at once that has yet to say goodbye', async () => {
    const own = await RelayProgram.start()
    const { sender } = await openSender(['-', '--relay', own.url])
    process.kill(own.pid, 'SIGSTOP')
    await eventually('the sender has ended', () => {
      sender.signal('SIGINT')
      return sender.running ? undefined : true
    })
    process.kill(own.pid, 'SIGCONT')
    expect((await sender.ended()).exitCode).toBe(130)
    // A sender that has said goodbye, or waited long enough, prints this event.
    expect(sender.events.map(({ event }) => event)).not.toContain('interrupted')
  })
})
