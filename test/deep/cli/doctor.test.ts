import { once } from 'node:events'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { adviceFor } from '../../../src/cli/doctor/finding.ts'
import { type DoctorOptions, examine } from '../../../src/cli/doctor.ts'
import { KEEP_ALIVE_TIMEOUT_MS } from '../../../src/server/app.ts'
import { freePort } from '../../support/redis-server.ts'
import { type ServerOptions, startRelay } from '../../support/server.ts'
import { isInstalled, launch } from '../cluster/balancer.ts'

type Program = 'nginx' | 'haproxy' | 'caddy' | 'apache2'

/** A set-up that is wrong in one way, and how the doctor names it. */
interface Broken {
  readonly name: string
  readonly program: Program
  /** The part of the proxy's file that is wrong, for the relay's port. */
  readonly config: (relay: number) => string
  readonly faults: readonly string[]
  /** A line that has to be among those that say what to change. */
  readonly change: string
  readonly path?: string
  readonly tls?: true
  readonly relay?: ServerOptions
  readonly options?: DoctorOptions
  /** Has the relay end an idle connection of the proxy before the doctor comes. */
  readonly isKept?: true
}

const FORWARDED = 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $http_host;'
const UPGRADE =
  'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;'
const nginx = (lines: string) => (relay: number) =>
  `location / { proxy_pass http://127.0.0.1:${relay}; ${FORWARDED} ${UPGRADE} ${lines} }`
const nginxWithForwarded = (value: string) => (relay: number) =>
  nginx('')(relay).replace('$proxy_add_x_forwarded_for', value)
const nginxWithout = (left: string) => (relay: number) =>
  `location / { proxy_pass http://127.0.0.1:${relay}; ${`${FORWARDED} ${UPGRADE}`.replace(left, '')} }`

const BROKEN: readonly Broken[] = [
  {
    name: 'nginx with proxy_pass alone',
    program: 'nginx',
    config: nginxWithout(UPGRADE),
    faults: ['no_upgrade'],
    change: 'proxy_set_header Upgrade',
  },
  {
    name: 'Apache without its upgrade',
    program: 'apache2',
    config: (relay) => `ProxyPreserveHost On\nProxyPass / http://127.0.0.1:${relay}/`,
    faults: ['no_upgrade'],
    change: 'upgrade=websocket',
  },
  {
    name: 'nginx that hands on a path',
    program: 'nginx',
    path: '/drop',
    config: (relay) => `location /drop/ { proxy_pass http://127.0.0.1:${relay}; ${FORWARDED} }`,
    faults: ['path_kept'],
    change: 'both slashes',
  },
  {
    name: 'nginx that takes small bodies alone',
    program: 'nginx',
    config: nginx('client_max_body_size 65k;'),
    faults: ['small_requests'],
    change: 'client_max_body_size 1m',
  },
  {
    name: 'nginx with a short time-out of sockets',
    program: 'nginx',
    config: nginx('proxy_read_timeout 1s;'),
    options: { idle: 20 },
    faults: ['idle_cut'],
    change: 'proxy_read_timeout',
  },
  {
    name: 'HAProxy with short time-outs and no upgrade',
    program: 'haproxy',
    config: (relay) =>
      `http-request del-header upgrade\noption forwardfor\ntimeout server 1s\nserver relay 127.0.0.1:${relay}`,
    options: { idle: 20 },
    faults: ['no_upgrade', 'idle_cut'],
    change: 'timeout tunnel',
  },
  {
    name: 'nginx that limits rates',
    program: 'nginx',
    config: nginx('limit_req zone=some burst=5 nodelay;'),
    faults: ['rates'],
    change: 'take limit_req away',
  },
  {
    name: 'nginx that asks for a password',
    program: 'nginx',
    config: nginx('auth_basic "x"; auth_basic_user_file FOLDER/none;'),
    faults: ['password'],
    change: 'ACCESS_TOKENS_FILE',
  },
  {
    name: 'nginx that answers with a page of its own',
    program: 'nginx',
    config: () => 'default_type text/html; location / { return 200 "<p>welcome"; }',
    faults: ['not_a_relay'],
    change: 'give the address',
  },
  {
    name: 'nginx before a relay that is not there',
    program: 'nginx',
    config: () => nginx('')(1),
    faults: ['bad_gateway'],
    change: 'proxy_pass names',
  },
  {
    name: 'HAProxy that begins with a header that the relay does not expect',
    program: 'haproxy',
    config: (relay) => `option forwardfor\nserver relay 127.0.0.1:${relay} send-proxy`,
    faults: ['proxy_header'],
    change: 'PROXY_PROTOCOL=on',
  },
  {
    name: 'nginx that changes Host',
    program: 'nginx',
    config: nginxWithout('proxy_set_header Host $http_host;'),
    faults: ['host_lost'],
    change: 'proxy_set_header Host',
  },
  {
    name: 'HAProxy that names no client',
    program: 'haproxy',
    config: (relay) => `server relay 127.0.0.1:${relay}`,
    faults: ['address_missing'],
    change: 'option forwardfor',
  },
  {
    name: 'nginx that names the client where nobody reads it',
    program: 'nginx',
    config: nginx('proxy_set_header X-Real-IP 192.0.2.9;'),
    faults: ['address_elsewhere'],
    change: 'X-Forwarded-For',
  },
  ...(['nginx', 'haproxy'] as const).map((program): Broken => {
    return {
      name: `${program} whose clients are in a network of TRUST_PROXY`,
      program,
      // Appends, as for a client that is at 192.168.1.7 and is no proxy.
      config:
        program === 'nginx'
          ? nginxWithForwarded('"$http_x_forwarded_for, 192.168.1.7"')
          : (relay) =>
              `http-request set-header x-forwarded-for "%[req.hdr(x-forwarded-for)], 192.168.1.7"\nserver relay 127.0.0.1:${relay}`,
      relay: { trustProxy: ['127.0.0.1', '192.168.0.0/16'] },
      faults: ['address_forged'],
      change: 'no network that clients are in',
    }
  }),
  {
    name: 'nginx that keeps idle connections for longer than the relay',
    program: 'nginx',
    config: (relay) =>
      `location / { proxy_pass http://kept; ${FORWARDED} ${UPGRADE} } } upstream kept { server 127.0.0.1:${relay}; keepalive 4;`,
    isKept: true,
    faults: ['kept_too_long'],
    change: 'keepalive_timeout 60s',
  },
  {
    name: 'Caddy that keeps idle connections for longer than the relay',
    program: 'caddy',
    config: (relay) => `reverse_proxy 127.0.0.1:${relay}`,
    isKept: true,
    faults: ['kept_too_long'],
    change: 'keepalive 60s',
  },
  {
    name: 'Caddy that the relay does not trust',
    program: 'caddy',
    config: (relay) => `reverse_proxy 127.0.0.1:${relay}`,
    relay: { trustProxy: [] },
    faults: ['proxy_not_trusted'],
    change: 'TRUST_PROXY names',
  },
  {
    name: 'Caddy that leads elsewhere',
    program: 'caddy',
    config: () => 'redir https://relay.example{uri} 308',
    faults: ['redirect'],
    change: 'give people the address',
  },
  {
    name: 'Caddy with a certificate of its own',
    program: 'caddy',
    tls: true,
    config: (relay) => `tls internal\nreverse_proxy 127.0.0.1:${relay}`,
    faults: ['certificate'],
    change: 'NODE_EXTRA_CA_CERTS',
  },
  {
    name: 'a relay that lets no page of this origin in',
    program: 'caddy',
    config: (relay) => `reverse_proxy 127.0.0.1:${relay}`,
    options: { origin: 'https://app.example' },
    faults: ['origin_refused'],
    change: 'CORS_ORIGINS',
  },
]

/** The whole file of a proxy, and how it is started. */
const PROGRAMS: Readonly<
  Record<
    Program,
    (config: string, port: number, folder: string, tls: boolean) => readonly [string, (file: string) => string[]]
  >
> = {
  nginx: (config, port, folder) => [
    [
      `daemon off; master_process off; pid ${folder}/pid; error_log stderr crit; events {} http { access_log off;`,
      ...['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${folder}/${each};`),
      `limit_req_zone $binary_remote_addr zone=some:1m rate=5r/s;`,
      `server { listen 127.0.0.1:${port}; ${config.replaceAll('FOLDER', folder)} } }`,
    ].join('\n'),
    (file) => ['-p', folder, '-e', 'stderr', '-c', file],
  ],
  haproxy: (config, port) => [
    `defaults\nmode http\ntimeout connect 2s\ntimeout client 5m\ntimeout server 5m\nlisten all\nbind 127.0.0.1:${port}\n${config}\n`,
    (file) => ['-db', '-f', file],
  ],
  caddy: (config, port, folder, tls) => [
    `{\nadmin off\nauto_https disable_redirects\nskip_install_trust\nstorage file_system ${folder}\n}\n${tls ? 'https://localhost' : 'http://127.0.0.1'}:${port} {\nbind 127.0.0.1\n${config}\n}\n`,
    (file) => ['run', '--adapter', 'caddyfile', '--config', file],
  ],
  apache2: (config, port, folder) => [
    [
      ...['mpm_event', 'authz_core', 'proxy', 'proxy_http'].map(
        (each) => `LoadModule ${each}_module /usr/lib/apache2/modules/mod_${each}.so`,
      ),
      `ServerRoot ${folder}\nPidFile ${folder}/pid\nDefaultRuntimeDir ${folder}\nServerName localhost`,
      `ErrorLog ${folder}/error.log\nListen 127.0.0.1:${port}\n${config}\n`,
    ].join('\n'),
    (file) => ['-X', '-f', file],
  ],
}

/** Reports whether something listens at a port, and has its certificate where it needs one. */
async function listens(url: string): Promise<boolean> {
  const { protocol, port, hostname } = new URL(url)
  const to = { host: hostname, port: Number(port) }
  const isTls = protocol === 'https:'
  const socket = isTls ? connectTls({ ...to, servername: hostname, rejectUnauthorized: false }) : connect(to)
  return once(socket, isTls ? 'secureConnect' : 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy())
}

describe('pairlay doctor', () => {
  const started: { readonly stop: () => Promise<unknown> }[] = []
  afterEach(async () => {
    for (const { stop } of started.splice(0).toReversed()) await stop()
  })

  async function behind(broken: Omit<Broken, 'faults' | 'change'>) {
    const { program, config, path = '', tls, relay: options, isKept } = broken
    const relay = await startRelay({ trustProxy: ['127.0.0.1'], corsOrigins: [], ...options })
    started.push({ stop: () => relay.close() })
    const folder = await mkdtemp(join(tmpdir(), `pairlay-${program}-`))
    const port = await freePort()
    const [text, args] = PROGRAMS[program](config(relay.port), port, folder, tls === true)
    const file = join(folder, 'config')
    await writeFile(file, text)
    const url = tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`
    started.push(await launch(program, args(file), url, folder, listens))
    if (isKept) {
      const ended = once(relay.server, 'timeout')
      relay.server.keepAliveTimeout = 1
      await (await fetch(`${url}/healthz`)).text()
      await ended
      relay.server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
    }
    return `${url}${path}`
  }

  async function findings(url: string, options: DoctorOptions = {}) {
    const found = []
    for await (const finding of examine(url, options)) found.push(finding)
    return found
  }

  for (const broken of BROKEN) {
    const isHere = isInstalled({ name: broken.program }) || process.env.REQUIRE_ALL === '1'
    const skipped = isHere ? '' : ` (skipped: there is no ${broken.program} here)`

    test.skipIf(!isHere)(`names what is wrong with ${broken.name}${skipped}`, async () => {
      const found = await findings(await behind(broken), broken.options)
      const wrong = found.filter(({ fault }) => fault !== undefined)
      expect(
        wrong.map(({ fault }) => fault),
        JSON.stringify(found, null, 1),
      ).toEqual(broken.faults)
      const advice = wrong.flatMap(({ fault, server }) => (fault ? adviceFor(fault, server) : []))
      expect(advice.join('\n')).toContain(broken.change)
    })
  }

  for (const send of ['send-proxy', 'send-proxy-v2']) {
    const isHere = isInstalled({ name: 'haproxy' }) || process.env.REQUIRE_ALL === '1'
    const name = `finds nothing wrong with HAProxy that passes on TCP with ${send}${isHere ? '' : ' (skipped)'}`

    test.skipIf(!isHere)(name, async () => {
      const config = (relay: number) => `mode tcp\nserver relay 127.0.0.1:${relay} ${send}`
      const url = await behind({ name: send, program: 'haproxy', config, relay: { proxyProtocol: true } })
      expect((await findings(url)).filter(({ fault }) => fault !== undefined)).toEqual([])
    })
  }

  for (const program of Object.keys(PROGRAMS) as Program[]) {
    const isHere = isInstalled({ name: program }) || process.env.REQUIRE_ALL === '1'
    const RIGHT: Readonly<Record<Program, (relay: number) => string>> = {
      nginx: nginx(''),
      haproxy: (relay) => `option forwardfor\nserver relay 127.0.0.1:${relay}`,
      caddy: (relay) => `reverse_proxy 127.0.0.1:${relay}`,
      apache2: (relay) => `ProxyPreserveHost On\nProxyPass / http://127.0.0.1:${relay}/ upgrade=websocket`,
    }

    test.skipIf(!isHere)(`finds nothing wrong with ${program} that is right${isHere ? '' : ' (skipped)'}`, async () => {
      const url = await behind({ name: program, program, config: RIGHT[program] })
      const found = await findings(url, { idle: 1 })
      expect(found.filter(({ fault }) => fault !== undefined)).toEqual([])
      const looked = [
        'TLS',
        'health',
        'clock',
        'address',
        'rates',
        'limits',
        'WebSocket',
        'frames',
        'idle',
        'frames over HTTP',
      ]
      expect(found.map(({ check }) => check)).toEqual(looked)
    })
  }
})
