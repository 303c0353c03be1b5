import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { MIB, RelayProgram, relayOfFile, run, temporaryDirectory, withOtherSecret } from '../../cli/support.ts'
import { describePython, python, SIDES } from './programs.ts'

/** The command of the client in Python, beside a plain pairing. */

const { env } = relayOfFile()

describePython('the command of the client in Python', () => {
  test.each([
    ['Python', 'the CLI'],
    ['the CLI', 'Python'],
  ] as const)('hands a pipe from %s to %s', async (from, to) => {
    const { at } = await temporaryDirectory()
    const content = randomBytes(MIB)
    const sender = SIDES[from](['send', '-', '--name', 'db.sql', '--yes', '--json'], { env, stdin: content })
    const { code } = await sender.event('code')
    const receiver = SIDES[to](['receive', String(code), '--yes', '--json', '--into', at('in')], { env })
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    expect((await readFile(at('in/db.sql'))).equals(content)).toBe(true)
  })

  test('delivers to two devices, and a third that is denied takes nothing from them', async () => {
    const { at } = await temporaryDirectory()
    const content = randomBytes(MIB)
    await writeFile(at('file'), content)
    const sender = python(['-m', 'pairlay', 'send', at('file'), '--receivers', '3', '--json'], { env, stdin: 'open' })
    const { code } = await sender.event('code')
    const join = (side: keyof typeof SIDES, into: string, flags: string[]) =>
      SIDES[side](['receive', String(code), '--json', '--into', at(into), ...flags], { env, stdin: 'open' })
    const answer = async (nth: number, words?: string) => {
      const { matchNumber } = await sender.event('request', nth)
      await sender.event('question', nth)
      await sender.write(`${words ?? String(matchNumber).replace(' ', '')}\n`)
    }
    const first = join('the CLI', 'first', ['--yes'])
    await answer(1, 'y')
    expect((await first.ended()).exitCode).toBe(0)
    // The second one still decides when the third is denied.
    const second = join('Python', 'second', [])
    await answer(2)
    await second.event('offer')
    const third = join('Python', 'third', ['--yes'])
    await answer(3, 'n')
    expect((await third.ended()).exitCode).toBe(3)
    await second.write('y\n')
    expect([(await second.ended()).exitCode, (await sender.ended()).exitCode]).toEqual([0, 0])
    for (const into of ['first', 'second']) expect((await readFile(at(`${into}/file`))).equals(content)).toBe(true)
  })

  test('ends with 3 when strangers have used its code up', async () => {
    const sender = python(['-m', 'pairlay', 'send', '--text', 'x', '--json'], { env, stdin: 'open' })
    const { code } = await sender.event('code')
    for (let nth = 0; nth < 5; nth++) {
      const attacker = SIDES.Python(['receive', withOtherSecret(String(code), nth), '--json'], { env })
      expect((await attacker.ended()).exitCode).toBe(3)
    }
    expect((await sender.ended()).exitCode).toBe(3)
    expect((await sender.event('error')).code).toBe('used_up')
  })

  test('opens a session with its access token alone where the relay wants one', async () => {
    const { at } = await temporaryDirectory({ two: 'two words' })
    const made = await run(['token', 'new', 'ada'])
    await writeFile(at('tokens'), made.stdout)
    await writeFile(at('ada'), `${/shown this once:\n(\S+)\n/.exec(made.stderr)?.[1]}\n`)
    await writeFile(at('other'), 'another-token')
    const relay = await RelayProgram.start({ ACCESS_TOKENS_FILE: at('tokens') })
    const options = { env: { PAIRLAY_RELAY: relay.url } }
    const send = (flags: string[]) => SIDES.Python(['send', '--text', 'hello', '--yes', '--json', ...flags], options)
    for (const [attacker, exitCode, code] of [
      [[], 4, 'unauthorized'],
      [['--access-token-file', at('other')], 4, 'unauthorized'],
      [['--access-token-file', at('none')], 2, 'usage'],
      [['--access-token-file', at('two')], 2, 'usage'],
    ] as const) {
      const refused = send([...attacker])
      expect((await refused.ended()).exitCode).toBe(exitCode)
      expect((await refused.event('error')).code).toBe(code)
    }
    const sender = send(['--access-token-file', at('ada')])
    const receiver = SIDES.Python(['receive', String((await sender.event('code')).code), '--yes', '--json'], options)
    expect([(await sender.ended()).exitCode, (await receiver.ended()).exitCode]).toEqual([0, 0])
    expect((await receiver.event('text')).text).toBe('hello')
  })
})
