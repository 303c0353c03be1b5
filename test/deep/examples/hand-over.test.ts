import { readFileSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { bytesSource, Sender } from '../../../src/client/index.ts'
import { KIB, relayOfFile, sha256Of, temporaryDirectory } from '../../cli/support.ts'
import { Random } from '../../support/random.ts'
import { example } from './programs.ts'

const PATH = fileURLToPath(new URL('../../../examples/hand-over.mjs', import.meta.url))

describe('the CLI in 20 lines', () => {
  const relay = relayOfFile()

  /** Pairs the two programs, and gives the number that the receiver shows. */
  async function meet(file: string, target: string) {
    const sender = example('hand-over.mjs', [relay.url, file])
    const [, code = ''] = await sender.says(/Code: (\S+)/)
    const receiver = example('hand-over.mjs', [relay.url, target, code])
    const [, number = ''] = await receiver.says(/Number: (\d{6})/)
    await sender.says('Its number: ')
    return { sender, receiver, number }
  }

  test('has 20 lines, without comments and empty ones', () => {
    const lines = readFileSync(PATH, 'utf8').split('\n')
    expect(lines.filter((line) => !/^\s*(\/\/|$)/.test(line))).toHaveLength(20)
  })

  test('hands a file over between two processes, once the number was typed', async () => {
    const { path, at } = await temporaryDirectory({ file: new Random('hand over').bytes(700 * KIB) })
    const { sender, receiver, number } = await meet(at('file'), at('copy'))
    await sender.write(`${number}\n`)
    expect((await receiver.ended()).exitCode).toBe(0)
    const sent = await sender.ended()
    expect(sent.stdout.toString()).toContain('delivered: true')
    expect(sent.exitCode).toBe(0)
    expect(await sha256Of(at('copy'))).toBe(await sha256Of(at('file')))
    expect((await readdir(path)).toSorted()).toEqual(['copy', 'file'])
  })

  test('hands nothing over when another number was typed', async () => {
    const { path, at } = await temporaryDirectory({ file: 'secret' })
    const { sender, receiver, number } = await meet(at('file'), at('copy'))
    await sender.write(`${number === '000000' ? '000001' : '000000'}\n`)
    const { exitCode, stderr } = await sender.ended()
    expect(exitCode).toBe(1)
    expect(stderr).toContain('no_such_number')
    await receiver.kill()
    expect(await readdir(path)).toEqual(['file'])
  })

  test('replaces no file', async () => {
    const { at } = await temporaryDirectory({ file: 'new', copy: 'old' })
    const { sender, receiver, number } = await meet(at('file'), at('copy'))
    await sender.write(`${number}\n`)
    const { exitCode, stderr } = await receiver.ended()
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('EEXIST')])
    expect(await readFile(at('copy'), 'utf8')).toBe('old')
  })

  test('has no file under its name while bytes are missing', async () => {
    const { path, at } = await temporaryDirectory()
    const attacker = await Sender.open({ relay: relay.url })
    const receiver = example('hand-over.mjs', [relay.url, at('copy'), attacker.code])
    await receiver.says('Number: ')
    for await (const request of attacker.requests()) await request.approve()
    const half = async function* () {
      yield new Uint8Array(KIB)
      throw new Error('gone')
    }
    const cut = { ...bytesSource(new Uint8Array(2 * KIB), 'file'), open: half }
    expect(await attacker.send([cut])).toMatchObject([{ delivered: false }])
    expect((await receiver.ended()).exitCode).toBe(1)
    expect(await readdir(path)).toEqual(['copy.part'])
    await attacker.cancel()
  })
})
