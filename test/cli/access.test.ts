import { writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { PAIRING_ERRORS } from '../../src/client/index.ts'
import { openSender, RelayProgram, run, take, temporaryDirectory } from './support.ts'

test('a token that `pairlay token new` makes opens sessions at a relay that has its line, and no other does', async () => {
  const { at } = await temporaryDirectory()
  const made = await run(['token', 'new', 'ada'])
  const [, token = ''] = /shown this once:\n(\S+)\n/.exec(made.stderr) ?? []
  expect(made.stdout.toString()).toMatch(/^ada sha256:[\w-]{43}\n$/)
  expect(made.stdout.toString()).not.toContain(token)
  await writeFile(at('tokens'), made.stdout)
  await writeFile(at('ada'), `${token}\n`)
  await writeFile(at('other'), 'another-token')
  const relay = await RelayProgram.start({ ACCESS_TOKENS_FILE: at('tokens') })
  const env = { PAIRLAY_RELAY: relay.url }
  const needed = `pairlay: ${PAIRING_ERRORS.access_needed}`
  const advice = 'Name the file that it is in with --access-token-file.'
  for (const [attacker, said] of [
    [[], `${needed} ${advice}`],
    [['--access-token-file', at('other')], `${needed} It does not know this one. ${advice}`],
  ] as const) {
    const { exitCode, stderr } = await run(['send', '--yes', '-', ...attacker], { env, stdin: 'content' })
    expect([exitCode, stderr]).toEqual([4, `${said}\n`])
    expect(stderr).not.toMatch(/another-token/)
  }
  const own = { ...env, PAIRLAY_ACCESS_TOKEN_FILE: at('ada') }
  const { code } = await openSender(['-'], { env: own, stdin: 'content' })
  expect(await (await take(relay, code)).taken).toEqual({ items: ['content'] })
})

test('a file that has no token is named, and nothing of it is repeated', async () => {
  const { at } = await temporaryDirectory()
  await writeFile(at('two'), 'two words')
  const attempt = async (path: string) => {
    const { exitCode, stderr } = await run(['send', '--yes', '-', '--access-token-file', path], { stdin: 'content' })
    expect(exitCode).toBe(2)
    return stderr
  }
  expect(await attempt(at('none'))).toBe('pairlay: --access-token-file is not a file that can be read: ENOENT.\n')
  expect(await attempt(at('two'))).not.toContain('words\n')
})
