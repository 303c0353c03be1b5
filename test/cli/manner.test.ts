import { truncate } from 'node:fs/promises'
import { expect, test } from 'vitest'
import {
  describeConcurrent,
  describeTerminal,
  MIB,
  openPlain,
  pairlay,
  relayOfFile,
  run,
  Screen,
  temporaryDirectory,
} from './support.ts'

/** How much is shown: --quiet and --plain. */

const relay = relayOfFile()
const { env } = relay

describeConcurrent('with --quiet', () => {
  test('a script reads the code, and the number at the receiver, and nothing else', async () => {
    const { at } = await temporaryDirectory({ file: 'content', 'out/': '' })
    const { sender, code } = await openPlain(['-q', '--yes', at('file')], { env })
    const received = await run(['receive', code, '--quiet', '--yes', '-o', at('out')], { env })
    const sent = await sender.ended()
    expect([sent.exitCode, sent.stderr, received.exitCode]).toEqual([0, `Code: ${code}\n`, 0])
    expect(received.stderr).toMatch(/^The sender should show \d{3} \d{3}\. Waiting for its approval …\n$/)
  })

  test('a person reads the questions, and what they are about', async () => {
    const { at } = await temporaryDirectory({ file: 'content', 'out/': '' })
    const { sender, code } = await openPlain(['-q', at('file')], { env, stdin: 'open' })
    const receiver = pairlay(['receive', '-q', '--name', 'laptop', '-o', at('out')], { env, stdin: `${code}\ny\n` })
    const [, number] = await sender.says(/show (\d{3} \d{3})\? \[y\/N\] $/)
    await sender.write('y\n')
    const [sent, received] = await Promise.all([sender.ended(), receiver.ended()])
    expect(sent.stderr).toBe(
      `Code: ${code}\nA device has proved that it knows the code. Its number: ${number}\n    It calls itself laptop\n` +
        `Does the other device show ${number}? [y/N] \n`,
    )
    expect(received.stderr).toBe(
      `Code: \nThe sender should show ${number}. Waiting for its approval …\nThe sender offers file (7 bytes).\n` +
        `Save it as ${at('out/file')}, if the sender shows ${number}? [y/N] \n`,
    )
  })

  test('what went wrong is shown', async () => {
    const { at } = await temporaryDirectory({ file: 'content' })
    const { sender, code } = await openPlain(['-q', '--yes', at('file')], { env })
    const received = await run(['receive', code, '-q', '--yes', '-o', at('none/')], { env })
    const refusing = pairlay(['receive', code, '-q'], { env, stdin: 'n\n' })
    expect([received.exitCode, received.stderr]).toEqual([
      2,
      `pairlay: There is no directory ${at('none')}. --into makes it.\n`,
    ])
    expect((await refusing.ended()).stderr).toMatch(/\npairlay: Refused\. Nothing was saved\.\n$/)
    const { exitCode, stderr } = await sender.ended()
    expect([exitCode, stderr.split('\n').slice(1).join('\n')]).toEqual([
      5,
      expect.stringMatching(/^Not delivered to \d{3} \d{3}\. The other side declined\.\n$/),
    ])
  })
})

describeTerminal('at a plain terminal', () => {
  test('no ESC and no CR is written through a whole send and receive, and each change of state is a line', async () => {
    const { at } = await temporaryDirectory({ file: '', 'out/': '' })
    await truncate(at('file'), 64 * MIB)
    // The driver of a terminal writes a CR before each end of a line, unless it is told not to.
    const options = { env, before: 'stty -onlcr', columns: 200 }
    const sender = new Screen(['send', '--plain', at('file')], options)
    const [, code = ''] = await sender.says(/Code: (\S+)/)
    const receiver = new Screen(['receive', '--plain', '-o', at('out')], options)
    await receiver.answer('Code: ', code)
    await sender.answer('[y/N] ', 'y')
    await receiver.answer('[y/N] ', 'y')
    const codes = [(await sender.ended()).exitCode, (await receiver.ended()).exitCode]
    expect(codes).toEqual([0, 0])
    for (const { raw } of [sender, receiver]) {
      for (const control of ['\u001b', '\r']) expect(raw).not.toContain(control)
    }
    const steps = sender.raw.split('\n').filter((line) => /^Approved|accepts|^Delivered/.test(line))
    expect(steps).toHaveLength(3)
  })
})
