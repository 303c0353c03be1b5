import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  describeConcurrent,
  eventually,
  MIB,
  openPlain,
  openSender,
  pairlay,
  relayOfFile,
  run,
  temporaryDirectory,
} from './support.ts'

/** A transfer whose process is killed goes on when it is sent again, under another code. */

const relay = relayOfFile()
const { env } = relay

const SIZE = 48 * MIB
const digestOf = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

/** The bytes of all that has not its own name in a folder. */
async function partial(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const info = entry.isFile() && (await stat(join(entry.parentPath, entry.name)).catch(() => undefined))
    if (info) bytes += info.size
  }
  return bytes
}

/** Tokens of a test's own: senders that write them at the same time may lose one. */
const withState = (into: string) => ({ env: { ...env, XDG_STATE_HOME: join(into, '../state') } })

async function open(what: string, into: string) {
  const { sender, code } = await openSender([what], withState(into))
  return { sender, receiver: pairlay(['receive', code, '--yes', '--json', '-o', into], { env }) }
}

describeConcurrent('a process that is killed', () => {
  test.each(['sender', 'receiver'] as const)(
    'in mid-transfer, the %s: the rest comes when it is sent again',
    async (who) => {
      const { at } = await temporaryDirectory()
      await mkdir(at('folder/sub'), { recursive: true })
      await mkdir(at('out'))
      await writeFile(at('folder/a'), randomBytes(SIZE))
      await writeFile(at('folder/sub/b'), 'small')
      const kept: unknown[] = []
      for (const part of [0.1, 0.4, 0.7]) {
        const { sender, receiver } = await open(at('folder'), at('out'))
        await eventually('so much is there', async () => ((await partial(at('out'))) > part * SIZE ? true : undefined))
        const [killed, left] = who === 'sender' ? [sender, receiver] : [receiver, sender]
        killed.signal('SIGKILL')
        left.signal('SIGINT')
        await Promise.all([killed.ended(), left.ended()])
        kept.push(sender.events.find(({ event }) => event === 'answer')?.hasBytes)
        expect((await readdir(at('out'))).filter((name) => /^folder$/.test(name))).toEqual([])
      }
      const { sender, receiver } = await open(at('folder'), at('out'))
      expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
      const hasBytes = sender.events.find(({ event }) => event === 'answer')?.hasBytes
      expect(await receiver.event('resumed')).toEqual({ event: 'resumed', bytes: hasBytes })
      expect([...kept, hasBytes].map(Number)).toSatisfy((all: number[]) =>
        all.every((bytes, i) => i === 0 || bytes > all[i - 1]),
      )
      expect(await digestOf(at('out/folder/a'))).toBe(await digestOf(at('folder/a')))
      expect((await readdir(at('out'), { recursive: true })).sort()).toEqual([
        'folder',
        'folder/a',
        'folder/sub',
        'folder/sub/b',
      ])
    },
  )

  test('begins anew with a file that is another one by now, and says nothing of before', async () => {
    const { at } = await temporaryDirectory()
    await mkdir(at('out'))
    await writeFile(at('file'), randomBytes(SIZE))
    const first = await open(at('file'), at('out'))
    await eventually('half of it is there', async () => ((await partial(at('out'))) > SIZE / 2 ? true : undefined))
    first.receiver.signal('SIGKILL')
    first.sender.signal('SIGINT')
    await Promise.all([first.sender.ended(), first.receiver.ended()])
    await writeFile(at('file'), randomBytes(SIZE))
    const { sender, receiver } = await open(at('file'), at('out'))
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    expect(sender.events).toContainEqual({ event: 'answer', matchNumber: expect.any(String), hasBytes: 0 })
    expect(receiver.events).toContainEqual({ event: 'resumed', bytes: 0 })
    expect(await digestOf(at('out/file'))).toBe(await digestOf(at('file')))
    expect(await readdir(at('out'))).toEqual(['file'])
  })

  test('is told in words at both ends: how far it got, what to do, and where it goes on', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    await writeFile(at('file'), randomBytes(SIZE))
    const first = await openPlain(['--yes', at('file')], withState(at('out')))
    const receiver = pairlay(['receive', first.code, '--yes', '-o', at('out')], { env })
    await eventually('half of it is there', async () => ((await partial(at('out'))) > SIZE / 2 ? true : undefined))
    receiver.signal('SIGINT')
    const [sent, received] = await Promise.all([first.sender.ended(), receiver.ended()])
    expect(sent.stderr).toMatch(
      /\nNot delivered to \d{3} \d{3}: it got to \d+ %\. .* Send it again: it will go on from there\.\n$/,
    )
    const [part = ''] = await readdir(at('out'))
    const kept = /\n(\d+ %) of it is kept here\. Sent again, it goes on from there\. To remove it:\n {2}rm -r (.*)\n/
    const [, share = '', path] = received.stderr.match(kept) ?? []
    expect(path).toBe(at(`out/${part}`))
    const { sender, code } = await openPlain(['--yes', at('file')], withState(at('out')))
    const again = await run(['receive', code, '--yes', '-o', at('out')], { env })
    expect(again.stderr).toMatch(
      new RegExp(`\n${share} of it is here from before\\.\nChecking what is there\\.\nGoing on at ${share}\\.\n`),
    )
    expect((await sender.ended()).stderr).toContain(` goes on at ${share}.\nDelivered to `)
  })
})
