import { createHash, randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, symlink, truncate, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { lock } from '../../../src/node/lock.ts'
import {
  describeConcurrent,
  MIB,
  openPlain,
  openSender,
  type Program,
  pairlay,
  relayOfFile,
  run,
  temporaryDirectory,
} from '../../cli/support.ts'
import { CuttingProxy } from '../../support/cutting-proxy.ts'
import { withLastTest } from '../../support/leftovers.ts'

/** A transfer whose process is killed goes on when it is sent again, under another code. */

const relay = relayOfFile()
const { env } = relay

const SIZE = 24 * MIB
const digestOf = async (path: string) =>
  createHash('sha256')
    .update(await readFile(path))
    .digest('hex')

type Side = 'sender' | 'receiver'

/** A network that calls `onCut` when so many bytes have passed. */
async function cutting(bytes: number, onCut: () => void): Promise<string> {
  const proxy = await CuttingProxy.start(Number(new URL(relay.url).port))
  withLastTest(() => proxy.close())
  proxy.onCut = onCut
  proxy.cutAfter(bytes, 'any')
  return proxy.url
}

async function start(what: string, into: string, relays: Partial<Record<Side, string>> = {}) {
  const at = (side: Side) => ({ env: { PAIRLAY_RELAY: relays[side] ?? relay.url } })
  const { sender, code } = await openSender([what], at('sender'))
  return { sender, receiver: pairlay(['receive', code, '--yes', '--json', '-o', into], at('receiver')) }
}

/** A transfer of which one side is killed after so many bytes. Resolves with the sender when both have ended. */
async function killed(what: string, into: string, bytes: number, who: Side = 'receiver'): Promise<Program> {
  let devices: Awaited<ReturnType<typeof start>> | undefined
  const url = await cutting(bytes, () => {
    for (const side of ['sender', 'receiver'] as const) devices?.[side].signal(side === who ? 'SIGKILL' : 'SIGINT')
  })
  devices = await start(what, into, { [who]: url })
  const { sender, receiver } = devices
  await Promise.all([sender.ended(), receiver.ended()])
  expect((await readdir(into)).filter((name) => !/(^\.|\.part$)/.test(name))).toEqual([])
  return sender
}

const answerOf = ({ events }: Program) => events.find(({ event }) => event === 'answer')?.hasBytes

describeConcurrent('a process that is killed', () => {
  test.each(['sender', 'receiver'] as const)(
    'in mid-transfer, the %s: the rest comes when it is sent again',
    async (who) => {
      const { at } = await temporaryDirectory()
      await mkdir(at('folder/sub'), { recursive: true })
      await mkdir(at('out'))
      await writeFile(at('folder/a'), randomBytes(SIZE))
      await writeFile(at('folder/sub/b'), 'small')
      const had: unknown[] = []
      for (let times = 0; times < 3; times++) had.push(answerOf(await killed(at('folder'), at('out'), 0.3 * SIZE, who)))
      const { sender, receiver } = await start(at('folder'), at('out'))
      expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
      const hasBytes = answerOf(sender)
      expect(await receiver.event('resumed')).toEqual({ event: 'resumed', bytes: hasBytes })
      expect([...had, hasBytes].map(Number)).toSatisfy((all: number[]) =>
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

  /** Flips a byte at the beginning of a file. */
  async function spoil(path: string): Promise<void> {
    const file = await open(path, 'r+')
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 7)
    await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 7)
    await file.close()
  }

  const changes: [
    what: string,
    begins: 'at 0' | 'later' | 'as new',
    change: (file: string, part: string) => unknown,
  ][] = [
    ['a file that is another one by now', 'at 0', (file) => writeFile(file, randomBytes(SIZE))],
    ['a partial that was changed on the disk', 'at 0', (_, part) => spoil(part)],
    ['a partial that was cut short', 'later', (_, part) => truncate(part, MIB)],
    [
      'a link in the place of the partial',
      'as new',
      async (_, part) => {
        await rename(part, `${part}.elsewhere`)
        await symlink(`${part}.elsewhere`, part)
      },
    ],
    ['a lock of another process', 'as new', (_, part) => lock(lockOf(part))],
  ]

  const lockOf = (part: string) => part.replace(/[^/]*\.(\w{26})\.part$/, '.$1.lock')

  test.each(changes)('finds %s, and begins %s', async (_, begins, change) => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    await writeFile(at('file'), randomBytes(SIZE))
    await killed(at('file'), at('out'), SIZE / 2)
    const [part = ''] = (await readdir(at('out'))).filter((name) => name.endsWith('.part'))
    await change(at('file'), at(`out/${part}`))
    const { sender, receiver } = await start(at('file'), at('out'))
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    const bytes = begins === 'later' ? MIB : 0
    expect(answerOf(sender)).toBe(bytes)
    const resumed = receiver.events.filter(({ event }) => event === 'resumed')
    expect(resumed).toEqual(begins === 'as new' ? [] : [{ event: 'resumed', bytes }])
    expect(await digestOf(at('out/file'))).toBe(await digestOf(at('file')))
    const left = (await readdir(at('out'))).filter((name) => name !== 'file')
    expect(left.length > 0).toBe(begins === 'as new')
  })

  test('while a pipe comes leaves nothing under the final name', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    let receiver: Program | undefined
    const url = await cutting(2 * MIB, () => receiver?.signal('SIGKILL'))
    const sender = pairlay(['send', '-', '--yes', '--json', '--name', 'pipe'], { env, stdin: 'open' })
    const { code } = await sender.event('code')
    receiver = pairlay(['receive', String(code), '--yes', '-o', at('out')], { env: { PAIRLAY_RELAY: url } })
    void sender.write(Buffer.alloc(4 * MIB))
    await receiver.ended()
    sender.signal('SIGINT')
    await sender.ended()
    expect((await readdir(at('out'))).filter((name) => !/(^\.|\.part$)/.test(name))).toEqual([])
  })

  test('is told in words at both ends: how far it got, what to do, and where it goes on', async () => {
    const { at } = await temporaryDirectory({ 'out/': '' })
    await writeFile(at('file'), randomBytes(SIZE))
    const first = await openPlain(['--yes', at('file')], { env })
    let receiver: Program | undefined
    const url = await cutting(SIZE / 2, () => receiver?.signal('SIGINT'))
    receiver = pairlay(['receive', first.code, '--yes', '-o', at('out')], { env: { PAIRLAY_RELAY: url } })
    const [sent, received] = await Promise.all([first.sender.ended(), receiver.ended()])
    expect(sent.stderr).toMatch(
      /\nNot delivered to \d{3} \d{3}: it got to \d+ %\. .* Send it again: it will go on from there\.\n$/,
    )
    const [part = ''] = await readdir(at('out'))
    const kept = /\n(\d+ %) of it is kept here\. Sent again, it goes on from there\. To remove it:\n {2}rm -r (.*)\n/
    const [, share = '', path] = received.stderr.match(kept) ?? []
    expect(path).toBe(at(`out/${part}`))
    const { sender, code } = await openPlain(['--yes', at('file')], { env })
    const again = await run(['receive', code, '--yes', '-o', at('out')], { env })
    expect(again.stderr).toMatch(
      new RegExp(`\n${share} of it is here from before\\.\nChecking what is there\\.\nGoing on at ${share}\\.\n`),
    )
    expect((await sender.ended()).stderr).toContain(` goes on at ${share}.\nDelivered to `)
  })
})
