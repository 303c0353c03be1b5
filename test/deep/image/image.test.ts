import { readFileSync } from 'node:fs'
import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { admit, bytesOf, collect, openSender, outcomeOf, sha256 } from '../../e2e/people.ts'
import { Container, type Limits } from './container.ts'
import { Image, missing } from './image.ts'

/** The image of the Dockerfile, built with buildah and run with runc. */

const MIB = 1024 * 1024
const BUILD_TIMEOUT_MS = 900_000
const isSkipped = missing.length > 0 && process.env.REQUIRE_ALL !== '1'
const reason = isSkipped ? ` (skipped: there is no ${missing.join(' and no ')} here)` : ''
const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
const { version } = JSON.parse(read('package.json'))

/** Files of a folder that another lacks, by path, with their sizes. */
async function added(root: string, base: string): Promise<Map<string, number>> {
  const paths = await readdir(root, { recursive: true })
  const there = new Set(await readdir(base, { recursive: true }))
  const files = new Map<string, number>()
  for (const path of paths) {
    const stats = await lstat(join(root, path))
    if (!stats.isDirectory() && !there.has(path)) files.set(path, stats.size)
  }
  return files
}

describe.skipIf(isSkipped)(`the image${reason}`, () => {
  let image: Image
  let files: Map<string, number>
  beforeAll(async () => {
    image = await Image.build({ version, revision: 'abc' })
    files = await added(image.root, image.base)
  }, BUILD_TIMEOUT_MS)
  afterAll(() => image?.remove())

  const running: Container[] = []
  afterEach(async () => {
    for (const container of running.splice(0)) await container.remove()
  })
  async function start(limits?: Limits): Promise<Container> {
    const container = await Container.start(image, limits)
    running.push(container)
    return container
  }

  /** A relay that is process 1 has to hear the signal by itself, and to let its log out. */
  async function endsAt(signal: 'SIGTERM' | 'SIGINT', container: Container): Promise<void> {
    container.signal(signal)
    expect(await container.exited).toBe(0)
    expect(container.lines.at(-1)).toMatchObject({ msg: 'stopped' })
  }

  test('says what it is, of which version and licence, and has the licence', async () => {
    expect(image.config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'pairlay',
      'org.opencontainers.image.description': expect.stringMatching(/relay/),
      'org.opencontainers.image.licenses': 'MIT',
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.revision': 'abc',
    })
    expect(await image.read('app/LICENSE')).toBe(read('LICENSE'))
    expect(image.config.User).toBe('1000')
  })

  test('is less than 10 MB over its base, and nothing outside of its folder but the health check', () => {
    const bytes = [...files.values()].reduce((sum, size) => sum + size, 0)
    expect(bytes).toBeLessThan(10e6)
    const outside = [...files.keys()].filter((path) => !path.startsWith('app/'))
    expect(outside).toEqual(['usr/local/bin/pairlay-health'])
  })

  test('has the package of the relay and nothing else: no sources, maps, tests or command line', () => {
    const own = [...files.keys()].filter((path) => /^app\/(?!node_modules\/)/.test(path))
    const top = new Set(own.map((path) => /^app\/((dist\/)?[^/]+)/.exec(path)?.[1]))
    const dist = ['LICENSES', 'server', 'web'].map((name) => `dist/${name}`)
    expect([...top].toSorted()).toEqual(['LICENSE', 'README.md', 'bin', ...dist, 'package.json', 'sbom.cdx.json'])
    expect([...files.keys()].filter((path) => /\.([cm]?ts|map|tsbuildinfo)$|\/(__)?tests?(__)?\//.test(path))).toEqual(
      [],
    )
  })

  test('has no cryptography of the devices, but for the page that it hands to browsers', async () => {
    // test/packages/contents.test.ts looks into these files.
    const paths = [...files.keys()].filter((path) => !path.startsWith('app/dist/web/'))
    expect(paths.filter((path) => /tweetnacl|@noble|ristretto|\/crypto\/|cpace/i.test(path))).toEqual([])
  })

  test('lists in its SBOM each package that it has, with version and licence', async () => {
    const { components } = JSON.parse(await image.read('app/sbom.cdx.json'))
    const listed = components.map((each: { name: string; version: string; licenses?: unknown[] }) => {
      expect(each.licenses, each.name).not.toEqual([])
      return `${each.name}@${each.version}`
    })
    const bundled = (await image.read('app/dist/LICENSES')).matchAll(/^(\S+) (\d+\.\d+\.\d+\S*), /gm)
    expect(listed).toEqual(expect.arrayContaining([...bundled].map(([, name, of]) => `${name}@${of}`)))
    expect(listed.length).toBeGreaterThan(50)
    const manifests = [...files.keys()].filter((path) => /node_modules\/(@[^/]+\/)?[^/@]+\/package\.json$/.test(path))
    expect(manifests.length).toBeGreaterThan(0)
    for (const path of manifests) {
      const { name, version: itsVersion } = JSON.parse(await image.read(path))
      expect(listed).toContain(`${name}@${itsVersion}`)
    }
  })

  test('is healthy while the relay answers, and only then, by a check that leaves no process, and ends at SIGINT', async () => {
    const container = await start()
    expect(container.port).toBe(8080)
    expect(container.health()).toBe(0)
    expect(container.health({ PORT: '8081' })).toBe(1)
    expect(container.health({ LISTEN: 'unix:/run/no.sock' })).toBe(1)
    container.signal('SIGSTOP')
    expect(container.health()).toBe(1)
    container.signal('SIGCONT')
    expect(container.health()).toBe(0)
    // Neither a shell in front of the relay nor anything that a check has left.
    expect(container.processes()).toHaveLength(1)
    await endsAt('SIGINT', container)
  })

  test('carries 200 MiB with 128 MiB of memory, and ends at SIGTERM', async () => {
    const memoryBytes = 128 * MIB
    const environment = { HOST: '127.0.0.1', PORT: '0', MEMORY_BUDGET_BYTES: String(32 * MIB) }
    const container = await start({ environment, memoryBytes, hostNetwork: true })
    const url = `http://127.0.0.1:${container.port}`
    const device = await openSender(url)
    const { receiver } = await admit(url, device)
    const payload = bytesOf(200 * MIB)
    const received = collect(receiver)
    expect((await device.sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([payload.length])
    await device.sender.close()
    expect((await received).flat()).toMatchObject([{ sha256: sha256(payload) }])
    const { max, limit } = container.memory()
    expect([limit, max <= limit]).toEqual([memoryBytes, true])
    await endsAt('SIGTERM', container)
  })
})
