import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { Vault } from '../../../examples/vault/vault.mjs'
import { relayOfFile, temporaryDirectory } from '../../cli/support.ts'
import { example } from './programs.ts'

describe('the two programs with a vault', () => {
  const relay = relayOfFile()

  /** Pairs the two programs over these files. */
  async function meet(files: readonly [string, string], typed = (number: string) => number) {
    const first = example('vault/first.mjs', [files[0], relay.url])
    const [, code = ''] = await first.says(/Code: (\S+)/)
    const second = example('vault/second.mjs', [files[1], code, relay.url])
    const [, number = ''] = await second.says(/Number: ([\d ]{7})/)
    await first.says(/Number that .* shows/)
    await first.write(`${typed(number)}\n`)
    return { first, second }
  }

  test('bring each what the other has, carry edits both ways, and go on where they were after a restart', async () => {
    const { at } = await temporaryDirectory()
    const files = [at('first'), at('second')] as const
    for (const [index, name] of ['bank', 'forum'].entries()) await (await Vault.open(files[index])).set(name, 'before')
    const contents = async () => {
      const vaults = await Promise.all(files.map((file) => Vault.open(file)))
      return vaults.map((vault) => Object.fromEntries(vault.entries.map(({ name, value }) => [name, value])))
    }

    const { first, second } = await meet(files)
    for (const program of [first, second]) await program.says('In step.')
    await second.write('set bank changed\n')
    await second.says('In step.', 2)
    await first.write('list\n')
    await first.says('bank = changed')
    await first.says('forum = before')
    await first.write('delete forum\n')
    await first.says('In step.', 2)
    await second.write('quit\n')
    await first.says('The other device said goodbye.')
    expect((await second.ended()).exitCode).toBe(0)
    expect(await contents()).toEqual([
      { bank: 'changed', forum: null },
      { bank: 'changed', forum: null },
    ])

    await first.write('set shop later\n')
    await first.write('quit\n')
    expect((await first.ended()).exitCode).toBe(0)
    const again = await meet(files)
    for (const program of [again.first, again.second]) await program.says('In step.')
    for (const program of [again.first, again.second]) await program.write('quit\n')
    for (const program of [again.first, again.second]) expect((await program.ended()).exitCode).toBe(0)
    const expected = { bank: 'changed', forum: null, shop: 'later' }
    expect(await contents()).toEqual([expected, expected])
  })

  test('hand nothing over to a device whose number is another one', async () => {
    const { at } = await temporaryDirectory()
    const files = [at('first'), at('second')] as const
    await (await Vault.open(files[0])).set('bank', 'secret')
    const { first, second } = await meet(files, () => '')
    expect((await first.ended()).exitCode).toBe(0)
    const { exitCode, stderr } = await second.ended()
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining('denied')])
    await expect(readFile(files[1])).rejects.toThrow('ENOENT')
  })
})

describe('a vault', () => {
  test('that is no vault is not opened, and stays as it is', async () => {
    const { at } = await temporaryDirectory()
    for (const content of ['', 'secret', '{"device":"x","entries":[{"name":""}]}']) {
      await writeFile(at('file'), content)
      await expect(Vault.open(at('file'))).rejects.toThrow()
      expect(await readFile(at('file'), 'utf8')).toBe(content)
    }
    await mkdir(at('folder'))
    await expect(Vault.open(at('folder'))).rejects.toThrow('EISDIR')
  })

  test('whose disk is full keeps what it had, in memory too', async () => {
    const { at } = await temporaryDirectory()
    const vault = await Vault.open(at('file'))
    await vault.set('bank', 'kept')
    const before = await readFile(at('file'), 'utf8')
    // A folder in the way of the new file is as good as a full disk.
    await mkdir(at('file.new'))
    await expect(vault.set('bank', 'lost')).rejects.toThrow('EISDIR')
    expect(vault.get('bank')).toBe('kept')
    expect(await readFile(at('file'), 'utf8')).toBe(before)
    await rmdir(at('file.new'))
    await vault.set('bank', 'new')
    expect((await Vault.open(at('file'))).get('bank')).toBe('new')
  })

  test.each([
    ['a name that is too long', 'x'.repeat(101), 'value'],
    ['no name', '', 'value'],
    ['a value that is too long', 'name', 'x'.repeat(1_001)],
  ])('refuses %s', async (_, name, value) => {
    const { at } = await temporaryDirectory()
    const vault = await Vault.open(at('file'))
    await expect(vault.set(name, value)).rejects.toThrow(TypeError)
    expect(vault.entries).toEqual([])
  })
})
