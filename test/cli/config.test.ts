import { link, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { accessTokenFrom } from '../../src/cli/access-token.ts'
import { EXIT } from '../../src/cli/exit.ts'
import { relayFrom } from '../../src/cli/relay.ts'
import { settingsPath } from '../../src/cli/settings.ts'
import { describeConcurrent, runHere, temporaryDirectory } from './support.ts'

const RELAY = 'https://relay.example'
const OTHER = 'https://other.example'

/** A folder for settings, with this file where there is one, and `pairlay config` with it. */
async function withSettings(content?: string) {
  const { at } = await temporaryDirectory({ 'pairlay/': '' })
  const file = at('pairlay/config.json')
  if (content !== undefined) await writeFile(file, content)
  const env = { XDG_CONFIG_HOME: at('.') }
  const config = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await runHere(['config', ...args], env)
    return { exitCode, stdout: stdout.toString(), stderr }
  }
  return { at, file, env, config }
}

describeConcurrent('config', () => {
  test('sets, shows and removes the relay', async () => {
    const { file, config } = await withSettings()
    const silent = { exitCode: EXIT.delivered, stdout: '', stderr: '' }
    const unset = 'Nothing is set. To set the relay to use: pairlay config relay URL\n'
    expect(await config()).toEqual({ ...silent, stderr: unset })
    const none = 'pairlay: No relay is set. To set one: pairlay config relay URL\n'
    expect(await config('relay')).toEqual({ ...silent, exitCode: EXIT.failed, stderr: none })
    const set = `The relay to use is ${RELAY} from now on.\n`
    expect(await config('relay', `${RELAY}/?query#code`)).toEqual({ ...silent, stderr: set })
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ relay: RELAY })
    expect(await config('relay')).toEqual({ ...silent, stdout: `${RELAY}\n` })
    expect(await config()).toEqual({ ...silent, stdout: `relay=${RELAY}\n` })
    const removed = `The relay was ${RELAY}, and is not set any more.\n`
    expect(await config('--unset', 'relay')).toEqual({ ...silent, stderr: removed })
    expect(await config('relay', '--unset')).toEqual({ ...silent, stderr: 'No relay was set.\n' })
    expect(await config()).toEqual({ ...silent, stderr: unset })
  })

  test('keeps nothing that cannot be the address of a relay, and no password', async () => {
    const { file, config } = await withSettings(`{"relay":"${RELAY}"}`)
    for (const wrong of [
      '',
      'relay.example',
      'ftp://relay.example',
      'https://:0:',
      'https://user:secret@relay.example',
    ]) {
      const { exitCode, stderr } = await config('relay', wrong)
      expect([wrong, exitCode, stderr]).toEqual([
        wrong,
        EXIT.usage,
        expect.stringMatching(/^pairlay: This address .+\.\n$/),
      ])
      expect(stderr).not.toContain('secret')
    }
    expect(await readFile(file, 'utf8')).toBe(`{"relay":"${RELAY}"}`)
  })

  test('warns of a relay on another machine without TLS, and of a variable that takes precedence', async () => {
    const { env } = await withSettings()
    const args = ['config', 'relay', 'http://relay.example']
    const { exitCode, stderr } = await runHere(args, { ...env, PAIRLAY_RELAY: OTHER })
    expect(exitCode).toBe(EXIT.delivered)
    expect(stderr).toContain('\nhttp:// to relay.example has no TLS: ')
    expect(stderr).toMatch(/\nPAIRLAY_RELAY is set in this environment, and takes precedence\.\n$/)
  })

  test('makes a file for its owner alone, in a folder for its owner alone', async () => {
    const { at } = await temporaryDirectory()
    const home = at('new/config')
    await runHere(['config', 'relay', RELAY], { XDG_CONFIG_HOME: home })
    const modeOf = async (path: string) => (await stat(path)).mode & 0o777
    const file = join(home, 'pairlay/config.json')
    expect([await modeOf(file), await modeOf(dirname(file))]).toEqual([0o600, 0o700])
  })

  test('replaces the file as a whole, and a link to it not at all', async () => {
    const { at, file, config } = await withSettings()
    await writeFile(at('dotfile'), `{"relay":"${RELAY}"}`)
    await link(at('dotfile'), at('as it was'))
    await symlink(at('dotfile'), file)
    await config('relay', OTHER)
    expect(await readlink(file)).toBe(at('dotfile'))
    expect(JSON.parse(await readFile(at('dotfile'), 'utf8'))).toEqual({ relay: OTHER })
    expect(JSON.parse(await readFile(at('as it was'), 'utf8'))).toEqual({ relay: RELAY })
    expect((await readdir(at('.'))).toSorted()).toEqual(['as it was', 'dotfile', 'pairlay'])
  })

  test('names the file that it cannot write', async () => {
    const { at } = await temporaryDirectory({ pairlay: 'a file' })
    const { exitCode, stderr } = await runHere(['config', 'relay', RELAY], { XDG_CONFIG_HOME: at('.') })
    expect([exitCode, stderr]).toEqual([
      EXIT.failed,
      `pairlay: Cannot write ${at('pairlay/config.json')}: its folder is a file.\n`,
    ])
  })

  test('keeps the file of an access token for the relay that it has, and takes it away with another relay', async () => {
    const { at, file, config } = await withSettings()
    await writeFile(at('token'), 'ada-has-this-one\n')
    const [first, wrong] = [await config('access-token-file', at('token')), at('pairlay')]
    expect([first.exitCode, first.stderr]).toEqual([
      EXIT.usage,
      'pairlay: An access token is for one relay. Set that first: pairlay config relay URL\n',
    ])
    await config('relay', RELAY)
    expect((await config('access-token-file', wrong)).stderr).toContain('is not a file that can be read: EISDIR')
    const { stderr } = await config('access-token-file', at('token'))
    expect(stderr).toBe(`The access token for ${RELAY} is in ${at('token')} from now on.\n`)
    expect((await config('relay', `${RELAY}/`)).stderr).not.toContain('access-token-file')
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ relay: RELAY, 'access-token-file': at('token') })
    expect((await config('relay', OTHER)).stderr).toContain('The access-token-file was for another one')
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ relay: OTHER })
  })

  test('takes no value to remove, and no name but that of a setting', async () => {
    const { config } = await withSettings()
    const mistakes: readonly (readonly [args: string[], says: string])[] = [
      [['--unset'], 'Name the setting to remove: pairlay config --unset relay'],
      [['--unset', 'relay', RELAY], '--unset removes a setting: give no value.'],
      [['realy', RELAY], "'realy' is no name. Allowed choices are relay, access-token-file."],
    ]
    for (const [args, says] of mistakes)
      expect(await config(...args)).toEqual({ exitCode: EXIT.usage, stdout: '', stderr: `pairlay: ${says}\n` })
  })
})

describeConcurrent('the relay to use', () => {
  const MEND = 'Mend it, or remove it and set what you need with `pairlay config`.'
  test.each([
    ['', 'they are no JSON object'],
    ['relay = https://relay.example', 'they are no JSON object'],
    ['[]', 'they are no JSON object'],
    ['{"relay":1}', 'relay is not a text'],
    ['{"relay":"https://relay.example","realy":"x"}', 'there is no setting called realy'],
  ])('is not guessed where the settings are wrong, as %j', async (content, what) => {
    const { file, env, config } = await withSettings(content)
    const says = `pairlay: The settings in ${file} are wrong: ${what}. ${MEND}\n`
    const outcomes = [await runHere(['send', '--yes', '--text', 'x'], env), await config('relay', RELAY)]
    for (const { exitCode, stderr } of outcomes) expect([exitCode, stderr]).toEqual([EXIT.usage, says])
    expect(await readFile(file, 'utf8')).toBe(content)
  })

  test('is not guessed where the settings cannot be read, or have no address', async () => {
    const { at } = await temporaryDirectory({ 'pairlay/': '' })
    await mkdir(at('pairlay/config.json'))
    const unread = await runHere(['receive', 'K7QM3-XPDT28'], { XDG_CONFIG_HOME: at('.') })
    const says = `Cannot read the settings in ${at('pairlay/config.json')}: it is a directory. Mend that, or remove it.`
    expect([unread.exitCode, unread.stderr]).toEqual([EXIT.failed, `pairlay: ${says}\n`])
    const { env } = await withSettings('\ufeff{"relay":"relay.example"}')
    const { stderr } = await runHere(['send', '--yes', '--text', 'x'], env)
    expect(stderr).toMatch(/^pairlay: The relay of `pairlay config` has no http:\/\/ or https:\/\/ in front\./)
  })

  test('is not looked for in the settings where it is named, so wrong ones do no harm', async () => {
    const { env } = await withSettings('wrong')
    const { stderr } = await runHere(['send', '--yes', '--text', 'x', '--relay', 'http://127.0.0.1:1'], env)
    expect(stderr).toMatch(/^pairlay: No relay answers at /)
  })
})

test('the relay to use is that of --relay, or of the environment, or of the settings, or one on this machine', async () => {
  const { env, config } = await withSettings()
  await config('relay', RELAY)
  try {
    for (const [name, value] of Object.entries({ ...env, PAIRLAY_RELAY: OTHER })) vi.stubEnv(name, value)
    expect(relayFrom('http://[::1]:1')).toBe('http://[::1]:1')
    expect(relayFrom(undefined)).toBe(OTHER)
    vi.stubEnv('PAIRLAY_RELAY', '')
    expect(relayFrom(undefined)).toBe(RELAY)
    vi.stubEnv('XDG_CONFIG_HOME', '/nowhere')
    expect(relayFrom(undefined)).toBe('http://127.0.0.1:8080')
  } finally {
    vi.unstubAllEnvs()
  }
})

test('an access token of the settings is for the relay of the settings, and an attacker’s gets none', async () => {
  const { at, file, env } = await withSettings()
  const attacker = OTHER
  for (const name of ['option', 'variable', 'kept']) await writeFile(at(name), `token-${name}`)
  await writeFile(file, JSON.stringify({ relay: RELAY, 'access-token-file': at('kept') }))
  try {
    vi.stubEnv('XDG_CONFIG_HOME', env.XDG_CONFIG_HOME)
    expect(await accessTokenFrom(undefined, RELAY)).toBe('token-kept')
    expect(await accessTokenFrom(undefined, attacker)).toBeUndefined()
    vi.stubEnv('PAIRLAY_ACCESS_TOKEN_FILE', at('variable'))
    expect(await accessTokenFrom(undefined, RELAY)).toBe('token-variable')
    expect(await accessTokenFrom(at('option'), RELAY)).toBe('token-option')
    vi.stubEnv('PAIRLAY_ACCESS_TOKEN_FILE', '')
    await writeFile(file, 'nonsense')
    expect(await accessTokenFrom(undefined, RELAY)).toBeUndefined()
  } finally {
    vi.unstubAllEnvs()
  }
})

test('settings are where XDG_CONFIG_HOME says, or where the system has them', () => {
  const home = homedir()
  expect(settingsPath({ XDG_CONFIG_HOME: '/xdg' }, 'darwin')).toBe('/xdg/pairlay/config.json')
  for (const given of ['', 'relative'])
    expect(settingsPath({ XDG_CONFIG_HOME: given }, 'linux')).toBe(join(home, '.config/pairlay/config.json'))
  expect(settingsPath({}, 'darwin')).toBe(join(home, 'Library/Application Support/pairlay/config.json'))
  expect(settingsPath({ APPDATA: '/roaming' }, 'win32')).toBe('/roaming/pairlay/config.json')
  expect(settingsPath({}, 'win32')).toBe(join(home, 'AppData/Roaming/pairlay/config.json'))
})
