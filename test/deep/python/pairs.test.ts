import { randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { relayOfFile, temporaryDirectory } from '../../cli/support.ts'
import { describePython, python, SIDES, type SideName } from './programs.ts'

/** The client in Python, written from PROTOCOL.md, beside the CLI: each sends to each. */

const { env } = relayOfFile()

const PAIRS = [
  ['Python', 'the CLI'],
  ['the CLI', 'Python'],
  ['Python', 'Python'],
] as const

const digits = (number: unknown) => String(number).replace(' ', '')

async function handOver(from: SideName, to: SideName, send: readonly string[], receive: readonly string[]) {
  const sending = SIDES[from](['send', '--yes', '--json', ...send], { env })
  const { code } = await sending.event('code')
  const receiving = SIDES[to](['receive', String(code), '--yes', '--json', ...receive], { env })
  expect([(await sending.ended()).exitCode, (await receiving.ended()).exitCode]).toEqual([0, 0])
  const shown = await Promise.all([sending.event('request'), receiving.event('number')])
  expect(digits(shown[0].matchNumber)).toBe(digits(shown[1].matchNumber))
  expect(shown[0].fingerprint).toBe(shown[1].fingerprint)
  return { sending, receiving }
}

describePython('the client in Python', () => {
  test.each(
    PAIRS.flatMap(([from, to]) => [
      [from, to, 'over a WebSocket', ''],
      [from, to, 'over HTTP at Python', '--http'],
    ]) as [SideName, SideName, string, string][],
  )('hands a file and a folder from %s to %s, %s', async (from, to, _, flag) => {
    const { at } = await temporaryDirectory()
    const content = randomBytes(3_000_001)
    await mkdir(at('folder/sub'), { recursive: true })
    await mkdir(at('folder/empty'))
    await writeFile(at('large file'), content)
    await writeFile(at('folder/sub/ä.txt'), 'small')
    await writeFile(at('folder/zero'), '')
    await writeFile(at('folder/run'), 'x')
    await chmod(at('folder/run'), 0o700)
    const flagOf = (side: SideName) => (side === 'Python' && flag ? [flag] : [])
    const send = [at('large file'), at('folder'), ...flagOf(from)]
    await handOver(from, to, send, ['--into', at('in'), ...flagOf(to)])
    expect((await readFile(at('in/large file'))).equals(content)).toBe(true)
    expect(await readFile(at('in/folder/sub/ä.txt'), 'utf8')).toBe('small')
    expect((await stat(at('in/folder/empty'))).isDirectory()).toBe(true)
    expect((await stat(at('in/folder/zero'))).size).toBe(0)
    expect((await stat(at('in/folder/run'))).mode & 0o100).toBe(0o100)
    expect((await stat(at('in/large file'))).mtimeMs).toBeCloseTo((await stat(at('large file'))).mtimeMs, -1)
  })

  test.each(PAIRS)('hands a text from %s to %s', async (from, to) => {
    const { receiving } = await handOver(from, to, ['--text', 'grüße\n'], [])
    expect((await receiving.event('text')).text).toBe('grüße\n')
  })
})

describePython('the sources of the client in Python', () => {
  test.each([
    ['its own tests', ['-m', 'pytest', '-q', '-p', 'no:cacheprovider']],
    ['the strict type check', ['-m', 'mypy']],
    ['the linter', ['-m', 'ruff', 'check', '.']],
    ['the formatter', ['-m', 'ruff', 'format', '--check', '.']],
  ])('pass %s', async (_, args) => {
    const { exitCode, stdout, stderr } = await python(args, { env: { PYTHONDONTWRITEBYTECODE: '1' } }).ended(300_000)
    expect(exitCode, `${stdout}${stderr}`).toBe(0)
  })
})
