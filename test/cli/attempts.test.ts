import * as fs from 'node:fs/promises'
import { readdir, stat, utimes, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { Attempts, stateFolder } from '../../src/cli/attempts.ts'
import { temporaryDirectory } from './support.ts'

vi.mock('node:fs/promises', { spy: true })
vi.mock('node:os', { spy: true })
afterEach(() => {
  vi.resetAllMocks()
  vi.unstubAllEnvs()
})

const DAY_MS = 86_400_000

/** Two processes of one user would have these, in a folder that is not there yet. */
async function twoProcesses() {
  const { at } = await temporaryDirectory()
  const said: string[] = []
  const clock = { now: Date.now() }
  const open = () => new Attempts({ say: (line) => said.push(line) }, at('state/pairlay/tries'), () => clock.now)
  return { folder: at('state/pairlay/tries'), parent: at('state/pairlay'), said, clock, one: open(), other: open() }
}

describe('the tries of a code', () => {
  test('are counted for all processes of a user, and the one too many is refused', async () => {
    const { one, other } = await twoProcesses()
    expect(await one.emitted('K7QM3')).toBe(0)
    expect([await one.take('K7QM3', 3), await other.take('K7QM3', 3), await one.take('K7QM3', 3)]).toEqual([
      true,
      true,
      true,
    ])
    expect([await other.take('K7QM3', 3), await other.emitted('K7QM3')]).toEqual([false, 3])
    expect(await other.take('AAAAA', 3)).toBe(true)
  })

  test('are never one too many, when twenty are made at the same time', async () => {
    const { one, other } = await twoProcesses()
    const taken = await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 ? one : other).take('K7QM3', 3)))
    expect(taken.filter(Boolean)).toHaveLength(3)
  })

  test('say nothing of the code to another user, and little to this one', async () => {
    const { one, folder, parent } = await twoProcesses()
    await one.take('K7QM3', 3)
    const [name = ''] = await readdir(folder)
    expect(name).toMatch(/^[0-9a-f]{32}-1$/)
    const modes = await Promise.all([parent, folder, `${folder}/${name}`].map((path) => stat(path)))
    expect(modes.map(({ mode }) => (mode & 0o777).toString(8))).toEqual(['700', '700', '600'])
    expect(modes[2]?.size).toBe(0)
  })

  test('are forgotten when no code can be that old, and nothing else is removed', async () => {
    const { one, folder, clock } = await twoProcesses()
    await one.take('K7QM3', 3)
    await writeFile(`${folder}/mine`, '')
    clock.now += DAY_MS - 60_000
    expect(await one.emitted('K7QM3')).toBe(1)
    clock.now += 120_000
    expect(await one.emitted('K7QM3')).toBe(0)
    expect(await readdir(folder)).toEqual(['mine'])
  })

  test('that seem to come from a far future are forgotten as well', async () => {
    const { one, folder } = await twoProcesses()
    await one.take('K7QM3', 3)
    const [name] = await readdir(folder)
    await utimes(`${folder}/${name}`, 0, Date.now() / 1000 + 1e6)
    expect(await one.emitted('K7QM3')).toBe(0)
  })

  test('are counted for this run only where nothing can be written, which is told once', async () => {
    const { one, said, folder } = await twoProcesses()
    vi.mocked(fs.mkdir).mockRejectedValue(Object.assign(new Error(), { code: 'EACCES', path: folder }))
    expect([await one.take('K7QM3', 3), await one.take('K7QM3', 3)]).toEqual([true, true])
    expect(said).toEqual([`Tries are counted for this run only: ${folder}: permission denied.`])
  })
})

test('the tries of a user without a home folder are counted for this run only', async () => {
  vi.stubEnv('XDG_STATE_HOME', '')
  vi.mocked(homedir).mockImplementation(() => {
    throw Object.assign(new Error('no such user'), { code: 'ERR_SYSTEM_ERROR' })
  })
  const said: string[] = []
  const attempts = new Attempts({ say: (line) => said.push(line) })
  expect([await attempts.emitted('K7QM3'), await attempts.take('K7QM3', 3)]).toEqual([0, true])
  expect(said).toEqual([expect.stringMatching(/^Tries are counted for this run only: /)])
})

test('the state of a user is where XDG says, or in the home folder', () => {
  expect(stateFolder({ XDG_STATE_HOME: '/xdg' })).toBe('/xdg/pairlay')
  for (const given of ['', 'relative']) {
    expect(stateFolder({ XDG_STATE_HOME: given })).toMatch(/^\/.*\/\.local\/state\/pairlay$/)
  }
})
