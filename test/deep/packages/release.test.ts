import { execFile, spawn, spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

/** Makes a release of what is built here, and another one of the same sources in another place, built from nothing. */

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const TIME = '1795910000'
const canSign = spawnSync('ssh-keygen', ['-?']).error === undefined || process.env.REQUIRE_ALL === '1'
const hasMinisign = spawnSync('minisign', ['-v']).error === undefined || process.env.REQUIRE_ALL === '1'
if (!hasMinisign) process.stderr.write('\nThe signature by minisign is not tested: there is none here.\n')
if (!canSign) process.stderr.write('\nThe signature of a release is not tested: there is no ssh-keygen here.\n')

describe('a release', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-release-'))
  const key = join(folder, 'key')
  const [here, there] = [join(folder, 'here'), join(folder, 'there')]
  let said = ''

  beforeAll(async () => {
    if (canSign) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', key])
    said = await release(ROOT, here, '--as-built', ...(canSign ? ['--sign', key] : []))
  })

  afterAll(() => rmSync(folder, { recursive: true }))

  async function run(program: string, args: readonly string[], cwd = folder, more = {}): Promise<string> {
    const env = { ...process.env, SOURCE_DATE_EPOCH: TIME, ...more }
    return (await promisify(execFile)(program, args, { cwd, env })).stdout
  }

  function release(root: string, into: string, ...options: string[]): Promise<string> {
    return run('npm', ['run', '--silent', 'release', '--', '--into', into, ...options], root)
  }

  test('has the tarballs, the page, what each package is made of, and their checksums, and says what it would publish', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    const names = ['pairlay', 'pairlay-cli', 'pairlay-relay']
    const files = [
      ...names.flatMap((name) => [`${name}-${version}.tgz`, `${name}-${version}.cdx.json`]),
      `pairlay-${version}.html`,
    ]
    expect(readdirSync(here).toSorted()).toEqual(
      [...files, 'SHA256SUMS', ...(canSign ? ['SHA256SUMS.sig'] : [])].toSorted(),
    )
    for (const file of files) expect(said).toContain(` ${file}\n`)
    for (const name of names) expect(said).toContain(`npm publish ${name}-${version}.tgz\n`)
    expect(said).toContain('Nothing was published.')
    await run('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], here)
  })

  test('names in each list of parts what a package needs or has bundled, and nothing of another package', () => {
    const partsOf = (name: string): string[] => {
      const file = readdirSync(here).find((each) => each.startsWith(name) && each.endsWith('.cdx.json')) ?? ''
      const { metadata, components } = JSON.parse(readFileSync(join(here, file), 'utf8'))
      expect([`${metadata.component.name}-`, metadata.timestamp]).toEqual([
        name.replace(/\d$/, ''),
        new Date(Number(TIME) * 1000).toISOString(),
      ])
      return components.map((each: { name: string }) => each.name)
    }
    expect(partsOf('pairlay-0')).toEqual(expect.arrayContaining(['@noble/curves', 'tweetnacl', 'ws']))
    expect(partsOf('pairlay-cli-')).toEqual(expect.arrayContaining(['commander', '@noble/curves']))
    expect(partsOf('pairlay-cli-')).not.toContain('fastify')
    expect(partsOf('pairlay-relay-')).toContain('fastify')
    expect(partsOf('pairlay-relay-')).not.toContain('tweetnacl')
  })

  test.skipIf(!canSign)('is signed so that whoever has the public key can tell it from another one', async () => {
    const [type, publicKey] = readFileSync(`${key}.pub`, 'utf8').split(' ')
    const allowed = join(folder, 'allowed_signers')
    await run('sh', ['-c', `echo 'releases@pairlay ${type} ${publicKey}' > '${allowed}'`])
    const verify = (sums: string) =>
      run(
        'sh',
        ['-c', `ssh-keygen -Y verify -f '${allowed}' -I releases@pairlay -n file -s SHA256SUMS.sig < ${sums}`],
        here,
      )
    expect(await verify('SHA256SUMS')).toContain('Good "file" signature for releases@pairlay')
    await expect(verify('SHA256SUMS.sig')).rejects.toThrow()
  })

  test.skipIf(!hasMinisign)('is signed by minisign, too, as docs/release.md says', async () => {
    const [secret, own] = [join(folder, 'minisign.key'), join(folder, 'minisign.pub')]
    await run('minisign', ['-G', '-W', '-s', secret, '-p', own])
    const elsewhere = join(folder, 'signed')
    mkdirSync(elsewhere)
    cpSync(join(here, 'SHA256SUMS'), join(elsewhere, 'SHA256SUMS'))
    await run('minisign', ['-Sm', 'SHA256SUMS', '-s', secret], elsewhere)
    const verify = () => run('minisign', ['-Vm', 'SHA256SUMS', '-p', own], elsewhere)
    expect(await verify()).toContain('Signature and comment signature verified')
    appendFileSync(join(elsewhere, 'SHA256SUMS'), 'and more\n')
    await expect(verify()).rejects.toThrow()
  })

  describe('of another clone, which a server has installed', () => {
    const copy = join(folder, 'a copy')

    beforeAll(async () => {
      await copyTo(copy)
      // Servers often have this set. npm then leaves out what tests alone need, and `prepare` builds with the rest.
      await run('npm', ['ci', '--prefer-offline', '--no-audit', '--no-fund'], copy, { NODE_ENV: 'production' })
    })

    test('has the same bytes', async () => {
      await release(copy, there, '--as-built')
      const sums = (of: string) => readFileSync(join(of, 'SHA256SUMS'), 'utf8')
      expect(sums(there)).toBe(sums(here))
    })

    test('has a relay that starts, without what tests alone need', async () => {
      expect(readdirSync(join(copy, 'node_modules'))).not.toContain('vitest')
      const relay = spawn('npm', ['start', '--silent'], { cwd: copy, env: { ...process.env, PORT: '0' } })
      let log = ''
      for await (const chunk of relay.stdout) {
        log += chunk
        if (log.includes('the relay is ready')) relay.kill()
      }
      expect(log).toContain('"msg":"stopped"')
    })
  })

  async function copyTo(copy: string): Promise<void> {
    const listed = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], ROOT)
    for (const file of listed.split('\0').filter(Boolean)) {
      mkdirSync(dirname(join(copy, file)), { recursive: true })
      cpSync(join(ROOT, file), join(copy, file))
    }
  }
})
