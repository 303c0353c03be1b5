import { readFileSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { bytesSource } from '../../../src/client/index.ts'
import { admit, bytesOf, collect, openSender, outcomeOf, sha256 } from '../../e2e/people.ts'
import { freePort } from '../../support/redis-server.ts'
import { type RunningRelay, startRelay } from '../../support/server.ts'
import { type Balancer, isInstalled, launch, replaced } from './balancer.ts'

/** A file of deploy/proxies with a test's ports in it: a name of its own at `root`, a path of another site at `path`. */
interface Proxy {
  readonly name: 'caddy' | 'nginx' | 'haproxy' | 'apache2'
  readonly file: string
  readonly place: (config: string, ports: { root: number; path: number; relay: number }, folder: string) => string
  readonly args: (file: string, folder: string) => string[]
}

const without = (config: string, lines: RegExp) =>
  config
    .split('\n')
    .filter((line) => !lines.test(line))
    .join('\n')

const PROXIES: readonly Proxy[] = [
  {
    name: 'caddy',
    file: 'Caddyfile',
    place: (config, { root, path, relay }, folder) =>
      `{\n  admin off\n  storage file_system ${folder}\n}\n${replaced(config, [
        ['relay.example {', `http://127.0.0.1:${root} {`],
        ['tools.example {', `http://127.0.0.1:${path} {`],
        ['127.0.0.1:8080', `127.0.0.1:${relay}`],
      ])}`,
    args: (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  },
  {
    name: 'nginx',
    file: 'nginx.conf',
    place: (config, { root, path, relay }, folder) => {
      const [own = '', other = ''] = without(config, /ssl_certificate/).split('# Under a path')
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (each) => `${each}_temp_path ${folder}/${each};`,
      )
      const placed = [
        ...[`daemon off; master_process off; pid ${folder}/pid; error_log stderr crit;`, 'events {}', 'http {'],
        ...['access_log off;', ...temporary],
        replaced(own, [['listen 443 ssl', `listen 127.0.0.1:${root}`]]),
        `# Under a path${replaced(other, [['listen 443 ssl', `listen 127.0.0.1:${path}`]])}`,
        '}',
      ]
      return replaced(placed.join('\n'), [['server 127.0.0.1:8080', `server 127.0.0.1:${relay}`]])
    },
    args: (file, folder) => ['-p', folder, '-e', 'stderr', '-c', file],
  },
  {
    name: 'haproxy',
    file: 'haproxy.cfg',
    place: (config, { root, path, relay }) =>
      replaced(config, [
        [
          '  bind :443 ssl crt /etc/haproxy/certs alpn h2,http/1.1',
          `  bind 127.0.0.1:${root}\n  bind 127.0.0.1:${path}`,
        ],
        ['if { hdr(host),lower -m beg relay.example }', `if { dst_port ${root} }`],
        ['127.0.0.1:8080', `127.0.0.1:${relay}`],
      ]),
    args: (file) => ['-db', '-f', file],
  },
  {
    name: 'apache2',
    file: 'apache.conf',
    place: (config, { root, path, relay }, folder) => {
      const [own = '', other = ''] = without(config, /SSL/).split('# Under a path')
      const modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'proxy_wstunnel'].map(
        (each) => `LoadModule ${each}_module /usr/lib/apache2/modules/mod_${each}.so`,
      )
      const placed = [
        ...[
          ...modules,
          `ServerRoot ${folder}`,
          `PidFile ${folder}/pid`,
          `DefaultRuntimeDir ${folder}`,
          'ServerName localhost',
        ],
        ...[`ErrorLog ${folder}/error.log`, `Listen 127.0.0.1:${root}`, `Listen 127.0.0.1:${path}`],
        replaced(own, [['<VirtualHost *:443>', `<VirtualHost 127.0.0.1:${root}>`]]),
        `# Under a path${replaced(other, [['<VirtualHost *:443>', `<VirtualHost 127.0.0.1:${path}>`]])}`,
      ]
      return replaced(placed.join('\n'), [['http://127.0.0.1:8080/', `http://127.0.0.1:${relay}/`]])
    },
    args: (file) => ['-X', '-f', file],
  },
]

for (const proxy of PROXIES) {
  const isHere = isInstalled(proxy) || process.env.REQUIRE_ALL === '1'
  const reason = isHere ? '' : ` (skipped: there is no ${proxy.name} here)`

  describe.skipIf(!isHere)(`a relay behind ${proxy.name}, with the file that deploy/proxies has${reason}`, () => {
    const started: { readonly stop: () => Promise<unknown> }[] = []
    afterEach(async () => {
      for (const { stop } of started.splice(0).toReversed()) await stop()
    })

    async function behind(): Promise<{ relay: RunningRelay; urls: { root: string; path: string } }> {
      const relay = await startRelay({ trustProxy: ['127.0.0.1'], allowedHosts: [], logLevel: 'info' })
      started.push({ stop: () => relay.close() })
      const folder = await mkdtemp(join(tmpdir(), `pairlay-${proxy.name}-`))
      const ports = { root: await freePort(), path: await freePort(), relay: relay.port }
      const config = readFileSync(new URL(`../../../deploy/proxies/${proxy.file}`, import.meta.url), 'utf8')
      const file = join(folder, proxy.file)
      await writeFile(file, proxy.place(config, ports, folder))
      const url = `http://127.0.0.1:${ports.root}`
      const running: Balancer = await launch(proxy.name, proxy.args(file, folder), url, folder)
      started.push(running)
      return { relay, urls: { root: url, path: `http://127.0.0.1:${ports.path}/pairlay` } }
    }

    test('files go through WebSockets at the root and under a path, and the relay has nothing to warn about', async () => {
      const { relay, urls } = await behind()
      for (const url of Object.values(urls)) {
        const fallbacks: string[] = []
        const device = await openSender(url, { onFallback: () => fallbacks.push(url) })
        const { receiver } = await admit(url, device, { onFallback: () => fallbacks.push(url) })
        const received = collect(receiver)
        const payload = bytesOf(3 * 1024 * 1024)
        expect((await device.sender.send([bytesSource(payload, 'payload')])).map(outcomeOf)).toEqual([payload.length])
        await device.sender.close()
        expect((await received).flat()).toMatchObject([{ sha256: sha256(payload) }])
        expect(fallbacks).toEqual([])
      }
      expect(relay.log.filter((line) => JSON.parse(line).level >= 40)).toEqual([])
    })
  })
}
