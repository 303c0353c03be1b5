import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningRelay, startRelay } from '../../support/server.ts'
import { startChromium, WITHOUT_CHROMIUM } from '../browser/chromium.ts'
import { startFirefox, WITHOUT_FIREFOX } from '../browser/firefox.ts'

/** Installs the packed tarballs into an empty project, and uses them there in what people build and run with. */

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const PROJECT = fileURLToPath(new URL('project', import.meta.url))
const OWN = ['pairlay', 'pairlay-cli', 'pairlay-relay']
const TEXT = 'from one device to another'
const MIB = 1024 ** 2
/** Text of ws, and calls for modules of Node. */
const NODE_ONLY = /permessage-deflate|require\(["'`](?:node:|crypto|ws)/

const folder = mkdtempSync(join(tmpdir(), 'pairlay-packages-'))
const tarballs = join(folder, 'tarballs')
const project = join(folder, 'a project')
const modules = join(project, 'node_modules')
const ofRoot = (path: string) => join(ROOT, 'node_modules', path)

let relay: RunningRelay | undefined

/** Why there is nothing to try: the packages to try with come from a registry. With REQUIRE_ALL=1 that is a failure. */
const missing = await install().then(
  () => undefined,
  (error: Error) => {
    if (process.env.REQUIRE_ALL === '1') throw error
    return `the packages to try with could not be installed: ${error.message.split('\n', 1)}`
  },
)
if (missing) process.stderr.write(`\nThe tests of the packages are skipped: ${missing}\n`)

beforeAll(async () => {
  relay = await startRelay()
})

afterAll(async () => {
  await relay?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** Installs what the project has, and the packages as they would be published. */
async function install(): Promise<void> {
  for (const each of [tarballs, project]) mkdirSync(each)
  cpSync(PROJECT, project, { recursive: true })
  const packing = ['pack', '--silent', '--pack-destination', tarballs, ...OWN.map((name) => `--workspace=${name}`)]
  await run('npm', packing, ROOT)
  const paths = readdirSync(tarballs).map((name) => join(tarballs, name))
  const options = ['--no-save', '--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', ...options, ...paths])
}

/** Runs a program in the project, and resolves with what it prints. Rejects with all it said when it fails. */
async function run(program: string, args: readonly string[], cwd = project, more = {}): Promise<string> {
  const env = { ...process.env, RELAY: relay?.url ?? '', NODE_ENV: '', NODE_OPTIONS: '', ...more }
  try {
    return (await promisify(execFile)(program, args, { cwd, env })).stdout.trim()
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    throw new Error(`${program} ${args.join(' ')} failed:\n${stdout}\n${stderr}`, { cause: error })
  }
}

const node = (...args: string[]) => run(process.execPath, args)

/** Bytes of a package, without those of packages in it. */
function bytesOf(path: string): number {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(path, name)))
    .reduce((sum, { size }) => sum + size, 0)
}

describe.skipIf(missing)('the tarballs, in an empty project', () => {
  test('hand over a text in Node, imported and required', async () => {
    expect(await node('import.mjs')).toBe(TEXT)
    expect(await node('require.cjs')).toBe(TEXT)
  })

  test('hand over a text, a Blob and a stream of Node in Deno', async () => {
    const [name = ''] = readdirSync(join(modules, '@deno'))
    const deno = join(modules, '@deno', name, 'deno')
    expect(await run(deno, ['run', '-A', 'import.mjs'])).toBe(TEXT)
    expect(await run(deno, ['run', '-A', 'large.mjs'])).toBe('both arrived')
  })

  test('hand over a text, a Blob and a stream of Node in Bun, which runs the command, too', async () => {
    const [name = ''] = readdirSync(join(modules, '@oven'))
    const bun = join(modules, '@oven', name, 'bin/bun')
    expect(await run(bun, ['import.mjs'])).toBe(TEXT)
    expect(await run(bun, ['large.mjs'])).toBe('both arrived')
    expect(await run(bun, [join(modules, 'pairlay-cli/bin/pairlay.js'), 'send', '--help'])).toContain('pairlay send')
  })

  test.each(['jest', 'jest-29'])('work in %s as it comes', async (version) => {
    await node(join(modules, version, 'bin/jest.js'), 'jest.test.js')
  })

  test('work in jest where its environment is jsdom, as docs/sdk.md says', async () => {
    const words = '/** @jest-environment node */'
    expect(readFileSync(join(ROOT, 'docs/sdk.md'), 'utf8')).toContain(words)
    writeFileSync(join(project, 'jsdom.test.js'), `${words}\n${readFileSync(join(project, 'jest.test.js'))}`)
    await node(join(modules, 'jest/bin/jest.js'), '--env=jsdom', 'jsdom.test.js')
  })

  test.each([
    ['yarn 1', join(modules, 'yarn/bin/yarn.js'), ['add', '--no-lockfile', '--silent', '--non-interactive']],
    [
      'npm with engine-strict',
      undefined,
      ['install', '--engine-strict', '--no-audit', '--no-fund', '--prefer-offline'],
    ],
  ])('are installed by %s, whose rule is that each package names this Node', async (name, script, options) => {
    const into = join(folder, name)
    mkdirSync(into)
    writeFileSync(join(into, 'package.json'), '{ "name": "app", "version": "1.0.0", "license": "MIT" }')
    const args = [...options, '--ignore-scripts', ...readdirSync(tarballs).map((each) => join(tarballs, each))]
    const registry = await run('npm', ['config', 'get', 'registry'])
    if (script === undefined) await run('npm', args, into)
    else await run(process.execPath, [script, ...args, '--registry', registry], into)
    await expect(run(join(into, 'node_modules/.bin/pairlay-relay'), [], into, { PORT: 'none' })).rejects.toThrow('PORT')
  })

  test('work in vitest as it comes', async () => {
    await node(ofRoot('vitest/vitest.mjs'), 'run', '--globals', '--root', project, 'vitest.spec.mjs')
  })

  test.each(['esm', 'cjs'])(
    'bundled by esbuild for Node as %s, hand over a text where nothing is installed',
    async (format) => {
      const alone = join(folder, `alone-${format}`)
      const bundle = join(alone, format === 'esm' ? 'bundle.mjs' : 'bundle.cjs')
      const entry = format === 'esm' ? 'import.mjs' : 'require.cjs'
      const platform = ['--bundle', '--platform=node', `--format=${format}`, `--outfile=${bundle}`, '--log-level=error']
      await run(ofRoot('.bin/esbuild'), [entry, ...platform])
      expect(await run(process.execPath, [bundle], alone)).toBe(TEXT)
    },
  )

  test('are found by each TypeScript in each way, and have types there', async () => {
    for (const version of ['5.4', '5.9', '6']) {
      expect(await node('check-types.cjs', `typescript-${version}`), version).toBe('')
    }
    const options = { strict: true, noEmit: true, target: 'es2022', lib: ['es2022', 'dom', 'dom.asynciterable'] }
    const ways = { node16: 'types.mts', nodenext: 'types.cts', bundler: 'types.ts' }
    for (const [way, name] of Object.entries(ways)) {
      if (name !== 'types.ts') cpSync(join(project, 'types.ts'), join(project, name))
      const module = way === 'bundler' ? 'esnext' : way
      const compilerOptions = { ...options, module, moduleResolution: way, types: ['node'] }
      writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [name] }))
      expect(await node(ofRoot('typescript/bin/tsc'), '-p', '.'), `7, ${way}`).toBe('')
    }
  })

  test('are as publint wants them, and the SDK as attw does', async () => {
    const { publint } = await import(join(modules, 'publint/src/index-node.js'))
    for (const name of OWN) {
      const { messages } = await publint({ pkgDir: join(modules, name), pack: false, strict: true })
      expect(messages, name).toEqual([])
    }
    const attw = await import(join(modules, '@arethetypeswrong/core/dist/index.js'))
    const [tarball = ''] = readdirSync(tarballs).filter((name) => /^pairlay-\d/.test(name))
    const found = await attw.checkPackage(attw.createPackageFromTarballData(readFileSync(join(tarballs, tarball))))
    expect(Object.keys(found.entrypoints)).toContain('./node')
    expect(found.problems).toEqual([])
  })

  test('bring with the SDK alone at most ten packages and 6 MiB, none of them of the relay', () => {
    const found = new Set(['pairlay'])
    for (const name of found) {
      const manifest = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'))
      for (const each of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) found.add(each)
    }
    const bytes = [...found].reduce((sum, name) => sum + bytesOf(join(modules, name)), 0)
    process.stdout.write(`\nThe SDK is ${found.size} packages, ${(bytes / MIB).toFixed(1)} MiB\n`)
    expect([...found].filter((name) => /fastify|redis|^ws$|zod/.test(name))).toEqual([])
    expect(found.size).toBeLessThanOrEqual(10)
    expect(bytes).toBeLessThan(6 * MIB)
  })

  test('have the command, which finds the relay beside it, and without it says what to install', async () => {
    const command = join(modules, '.bin/pairlay')
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
    expect(await run(command, ['--version'])).toBe(version)
    // A port that none has: the relay was found, and says so.
    await expect(run(command, ['serve', '--host', 'nowhere.invalid'])).rejects.toThrow('nowhere.invalid')
    rmSync(join(modules, 'pairlay-relay'), { recursive: true })
    await expect(run(command, ['serve'])).rejects.toThrow(
      'pairlay: There is no relay here. Install the package pairlay-relay beside this one, at the same version.\n',
    )
  })
})

describe.skipIf(missing || WITHOUT_CHROMIUM || WITHOUT_FIREFOX)('the SDK bundled for a browser', () => {
  const into = join(folder, 'bundles')
  const config = { mode: 'production', entry: './page.mjs', output: { path: into, filename: 'webpack.js' } }
  const WEBPACK = `
    require('webpack')(${JSON.stringify(config)}, (error, stats) => {
      if (error || stats.hasErrors() || stats.hasWarnings()) throw error ?? new Error(stats.toString('errors-warnings'))
    })`
  const VITE = `
    import { build } from ${JSON.stringify(ofRoot('vite/dist/node/index.js'))}
    await build({
      configFile: false,
      logLevel: 'error',
      build: { outDir: ${JSON.stringify(into)}, emptyOutDir: false, lib: { entry: 'page.mjs', formats: ['es'], fileName: () => 'vite.js' } },
    })`

  test('by webpack, vite or esbuild, with no option of its own, hands over a text in a page and in a worker, and has nothing of Node', async () => {
    await node('--eval', WEBPACK)
    await node('--input-type=module', '--eval', VITE)
    await run(ofRoot('.bin/esbuild'), [
      'page.mjs',
      '--bundle',
      '--minify',
      `--outfile=${into}/esbuild.js`,
      '--log-level=error',
    ])
    const { url } = relay ?? expect.unreachable()
    const site = createServer(({ url: path = '' }, response) => {
      const name = path.slice(1)
      response.setHeader('content-type', name.endsWith('.js') ? 'text/javascript' : 'text/html')
      response.end(
        name.endsWith('.js')
          ? readFileSync(join(into, name))
          : `<!doctype html><link rel="icon" href="data:,"><script type="module" src="/${name}.js"></script>`,
      )
    })
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve))
    const browsers = await Promise.all([startChromium(), startFirefox(folder)])
    try {
      for (const name of ['webpack', 'vite', 'esbuild']) {
        expect(readFileSync(join(into, `${name}.js`), 'utf8')).not.toMatch(NODE_ONLY)
        for (const browser of browsers) {
          const page = await browser.newPage()
          const said: string[] = []
          page.on('console', (message) => said.push(message.text()))
          await page.goto(`http://127.0.0.1:${(site.address() as AddressInfo).port}/${name}`)
          expect(await page.evaluate((to) => handOver(to), url), name).toBe(TEXT)
          expect(await page.evaluate(byWorker, [`/${name}.js`, url] as const), name).toBe(TEXT)
          expect(said).toEqual([])
          await page.close()
        }
      }
    } finally {
      for (const browser of browsers) await browser.close()
      site.closeAllConnections()
      site.close()
    }
  })
})

/** Runs in the page: the same bundle as a module worker. */
function byWorker([bundle, to]: readonly [string, string]): Promise<unknown> {
  const worker = new Worker(bundle, { type: 'module' })
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data)
    worker.onerror = reject
    worker.postMessage(to)
  })
}

declare function handOver(relay: string): Promise<string>
