import { readFileSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { freePort } from '../../support/redis-server.ts'
import { launch, replaced } from './balancer.ts'

/** A file of deploy/proxies with a test's ports in it: a name of its own at `root`, a path of another site at `path`. */
export interface Proxy {
  readonly name: 'caddy' | 'nginx' | 'haproxy' | 'apache2'
  readonly file: string
  readonly place: (config: string, ports: { root: number; path: number; relay: number }, folder: string) => string
  readonly args: (file: string, folder: string) => string[]
  /** The same file where no upgrade passes. */
  readonly withoutUpgrades: (config: string) => string
  /** The same file where the proxy has something of its own in the place of index.html. */
  readonly withOwnIndex: (config: string, own: string) => string
}

const without = (config: string, lines: RegExp) =>
  config
    .split('\n')
    .filter((line) => !lines.test(line))
    .join('\n')

export const PROXIES: readonly Proxy[] = [
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
    withoutUpgrades: (config) =>
      replaced(config, [['reverse_proxy 127.0.0.1:8080', 'reverse_proxy 127.0.0.1:8080 {\nheader_up -Upgrade\n}']]),
    withOwnIndex: (config, own) => {
      const served = `handle /index.html {\nroot * ${dirname(own)}\nrewrite * /${basename(own)}\nfile_server\n}`
      return replaced(config, [['reverse_proxy', `${served}\nreverse_proxy`]])
    },
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
    withoutUpgrades: (config) => replaced(config, [['proxy_set_header Upgrade $http_upgrade;', '']]),
    withOwnIndex: (config, own) =>
      replaced(config, [
        ['  location / {', `location = /index.html { alias ${own}; }\n  location / {`],
        ['  location /pairlay/ {', `location = /pairlay/index.html { alias ${own}; }\n  location /pairlay/ {`],
      ]),
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
    withoutUpgrades: (config) =>
      replaced(config, [['frontend tls', 'frontend tls\n  http-request deny if { req.hdr(upgrade) -i websocket }']]),
    withOwnIndex: (config, own) =>
      replaced(config, [
        [
          'frontend tls',
          `frontend tls\n  http-request return status 200 content-type text/html file ${own} if { path_end /index.html }`,
        ],
      ]),
  },
  {
    name: 'apache2',
    file: 'apache.conf',
    place: (config, { root, path, relay }, folder) => {
      const [own = '', other = ''] = without(config, /SSL/).split('# Under a path')
      const modules = ['mpm_event', 'authz_core', 'alias', 'proxy', 'proxy_http', 'proxy_wstunnel'].map(
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
    withoutUpgrades: (config) => replaced(config, [[' upgrade=websocket', '']]),
    withOwnIndex: (config, own) =>
      replaced(config, [
        ['ProxyPass / ', `ProxyPass /index.html !\nAlias /index.html ${own}\nProxyPass / `],
        [
          'ProxyPass /pairlay/ ',
          `ProxyPass /pairlay/index.html !\nAlias /pairlay/index.html ${own}\nProxyPass /pairlay/ `,
        ],
      ]),
  },
]

export interface RunningProxy {
  readonly urls: { readonly root: string; readonly path: string }
  stop(): Promise<void>
}

/** Starts one in front of a relay of this machine, with its file as it is shipped or changed. Resolves when the relay answers. */
export async function startProxy(
  proxy: Proxy,
  relayPort: number,
  change = (config: string) => config,
): Promise<RunningProxy> {
  const folder = await mkdtemp(join(tmpdir(), `pairlay-${proxy.name}-`))
  const ports = { root: await freePort(), path: await freePort(), relay: relayPort }
  const config = readFileSync(new URL(`../../../deploy/proxies/${proxy.file}`, import.meta.url), 'utf8')
  const file = join(folder, proxy.file)
  await writeFile(file, proxy.place(change(config), ports, folder))
  const root = `http://127.0.0.1:${ports.root}`
  const { stop } = await launch(proxy.name, proxy.args(file, folder), root, folder)
  return { urls: { root, path: `http://127.0.0.1:${ports.path}/pairlay` }, stop }
}
