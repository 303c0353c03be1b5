import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type FastifyInstance, fastify } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { faultsOf, filesIn } from '../../../src/cli/verify.ts'
import { page } from '../../../src/server/page.ts'
import { CLI } from '../../support/build.ts'

const PAGE = new URL('../../../dist/web/', import.meta.url)
const files = filesIn(PAGE)
const servers: FastifyInstance[] = []
const folders: string[] = []

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true })
})

async function serve(folder: URL, policy?: string): Promise<string> {
  const app = fastify()
  servers.push(app)
  if (policy !== undefined)
    app.addHook('onSend', async (_request, reply) => {
      reply.header('content-security-policy', policy)
    })
  await app.register(page, { folder, version: '1.2.3', words: { links: [] } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** A copy of the page, in which somebody has changed one byte of a file. */
function changed(name: string): URL {
  const folder = mkdtempSync(join(tmpdir(), 'pairlay-verify-'))
  folders.push(folder)
  cpSync(fileURLToPath(PAGE), folder, { recursive: true })
  const bytes = readFileSync(join(folder, name))
  bytes[bytes.length >> 1] ^= 1
  writeFileSync(join(folder, name), bytes)
  return pathToFileURL(`${folder}/`)
}

function run(url: string): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, 'verify', url], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}

describe('pairlay verify', () => {
  test('says of an unchanged page that it is, with exit code 0', async () => {
    const { code, stdout } = await run(await serve(PAGE))
    expect(stdout).toMatch(/^The page at http:\S+ is Pairlay \d+\.\d+\.\d+, unchanged \(\d+ files\)\.\n$/)
    expect(code).toBe(0)
  })

  test('names a file in which one byte is another, with exit code 1', async () => {
    const script = [...files.keys()].find((name) => /^assets\/index-.*\.js$/.test(name)) ?? ''
    const { code, stdout, stderr } = await run(await serve(changed(script)))
    expect(stdout).toBe(`/${script} has other bytes.\n`)
    expect(stderr).toContain('is not that of Pairlay')
    expect(code).toBe(1)
  })

  test('looks at index.html under both of its addresses', async () => {
    expect(await faultsOf(await serve(changed('index.html')), files)).toEqual([
      '/index.html has other bytes.',
      '/ has other bytes.',
    ])
  })

  test('names files that come with another policy, or not at all', async () => {
    const attacker = await serve(PAGE, "default-src 'self'")
    expect((await faultsOf(attacker, files)).length).toBe(files.size + 1)
    expect(await faultsOf(`${await serve(PAGE)}/elsewhere`, files)).toContain('/ is not there: the answer is 404.')
  })

  test('says that there is no relay, with exit code 4', async () => {
    const url = await serve(PAGE)
    await servers.splice(0)[0]?.close()
    const { code, stderr } = await run(url)
    expect(stderr).toContain('cannot be read: ECONNREFUSED.')
    expect(code).toBe(4)
  })
})
