import type { ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Found, onPath, pipingServer, wormhole } from '../harness/cache.ts'
import { end, exited, lineOf, start, temporaryFolder } from '../harness/children.ts'
import { COMPILED } from '../harness/compile.ts'
import type { Target } from '../load/links.ts'

/** A server that bytes can go through, running. `targets` has one entry for each load generator. */
export interface RunningServer {
  readonly pids: readonly number[]
  readonly targets: readonly Target[]
  readonly stop: () => Promise<void>
}

/** `backends`: for proxies, the port of each load generator's own listener. */
export type StartServer = (backends: readonly number[]) => Promise<RunningServer | { readonly skipped: string }>

/** A program of this folder, with plain `node`. It prints `port <number>`. */
export async function startProgram(
  name: 'bare-ws' | 'tcp-pipe' | 'bare-fastify' | 'stub',
  options: { readonly probe?: boolean } = {},
): Promise<{ readonly child: ChildProcess; readonly pid: number; readonly port: number }> {
  const preload = options.probe ? ['--expose-gc', '--import', new URL('probe.js', COMPILED).href] : []
  const program = fileURLToPath(new URL(`yardsticks/programs/${name}.js`, COMPILED))
  const child = start(process.execPath, [...preload, program], {
    stdio: options.probe ? ['ignore', 'pipe', 'pipe', 'ipc'] : ['ignore', 'pipe', 'pipe'],
  })
  const port = await lineOf(child, name, (line) => /^port (\d+)/.exec(line)?.[1])
  return { child, pid: child.pid ?? 0, port: Number(port) }
}

export const bareWs: StartServer = async (backends) => {
  const { child, port } = await startProgram('bare-ws')
  return running(
    child,
    backends.map(() => target('ws', port)),
  )
}

export const tcpPipe: StartServer = async (backends) => {
  const { child, port } = await startProgram('tcp-pipe')
  return running(
    child,
    backends.map(() => target('tcp', port)),
  )
}

export const pipingServerNpm: StartServer = (backends) =>
  withProgram(pipingServer(), async (path) => {
    const port = await freePort()
    const child = start(process.execPath, [path, '--host=127.0.0.1', `--http-port=${port}`])
    return listening(
      child,
      'piping-server',
      [port],
      backends.map(() => target('http-pipe', port)),
    )
  })

export const redis: StartServer = (backends) =>
  withProgram(onPath('redis-server'), async (path) => {
    const port = await freePort()
    const unlimited = ['--client-output-buffer-limit', 'pubsub', '0', '0', '0']
    const args = [
      '--port',
      `${port}`,
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--protected-mode',
      'no',
      ...unlimited,
    ]
    const child = start(path, args, { cwd: temporaryFolder() })
    return listening(
      child,
      'redis-server',
      [port],
      backends.map(() => target('redis', port)),
    )
  })

export const wormholeTransit: StartServer = (backends) =>
  withProgram(wormhole(), async (bin) => {
    const port = await freePort()
    const args = ['transitrelay', `--port=tcp:${port}:interface=127.0.0.1`]
    const child = start(join(bin, 'twist'), args, { cwd: temporaryFolder() })
    return listening(
      child,
      'the transit relay',
      [port],
      backends.map(() => target('transit', port)),
    )
  })

/** Larger than the default, which costs twice the CPU: a yardstick is not to be beaten by leaving it badly set. */
const PROXY_BUFFER_BYTES = 65_536

/** nginx, as a WebSocket proxy or as a TCP proxy, one process. Each load generator has a front of its own. */
const nginx =
  (mode: 'ws-proxy' | 'tcp-proxy'): StartServer =>
  (backends) =>
    withProgram(onPath('nginx'), async (path) => {
      const folder = temporaryFolder()
      const ports = await Promise.all(backends.map(freePort))
      const file = join(folder, 'nginx.conf')
      writeFileSync(file, nginxConfig(mode, folder, ports, backends))
      const child = start(path, ['-p', folder, '-e', join(folder, 'error.log'), '-c', file])
      return listening(
        child,
        'nginx',
        ports,
        ports.map((port) => target(mode, port)),
      )
    })

export const nginxWebSocket = nginx('ws-proxy')
export const nginxStream = nginx('tcp-proxy')

function nginxConfig(mode: string, folder: string, ports: readonly number[], backends: readonly number[]): string {
  const size = `proxy_buffer_size ${PROXY_BUFFER_BYTES};`
  const servers = ports.map((port, n) => {
    const listen = `listen 127.0.0.1:${port};`
    if (mode === 'tcp-proxy') return `server { ${listen} ${size} proxy_pass 127.0.0.1:${backends[n]}; }`
    const upgrade = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;'
    const buffers = `${size} proxy_buffers 8 ${PROXY_BUFFER_BYTES}; proxy_busy_buffers_size ${2 * PROXY_BUFFER_BYTES};`
    const pass = `proxy_pass http://127.0.0.1:${backends[n]}; proxy_http_version 1.1; proxy_read_timeout 1h;`
    return `server { ${listen} location / { ${pass} ${upgrade} ${buffers} } }`
  })
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (each) => `${each}_temp_path ${folder}/${each};`,
  )
  const block =
    mode === 'tcp-proxy'
      ? `stream { ${servers.join('\n')} }`
      : `http { access_log off; ${paths.join(' ')}\n${servers.join('\n')} }`
  const load = mode === 'tcp-proxy' ? 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n' : ''
  return `${load}daemon off; master_process off; pid ${folder}/nginx.pid;\nevents { worker_connections 4096; }\n${block}\n`
}

/** HAProxy in HTTP mode, which tunnels a WebSocket after the upgrade, one thread. */
export const haproxyWebSocket: StartServer = (backends) =>
  withProgram(onPath('haproxy'), async (path) => {
    const folder = temporaryFolder()
    const ports = await Promise.all(backends.map(freePort))
    const proxies = ports.map(
      (port, n) => `listen l${n}\n  bind 127.0.0.1:${port}\n  server s 127.0.0.1:${backends[n]}\n`,
    )
    const file = join(folder, 'haproxy.cfg')
    const timeouts = 'timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n  timeout tunnel 1h'
    const global = `global\n  nbthread 1\n  tune.bufsize ${PROXY_BUFFER_BYTES}\n`
    writeFileSync(file, `${global}defaults\n  mode http\n  ${timeouts}\n${proxies.join('')}`)
    const child = start(path, ['-db', '-q', '-f', file])
    return listening(
      child,
      'haproxy',
      ports,
      ports.map((port) => target('ws-proxy', port)),
    )
  })

async function withProgram(
  found: Found | Promise<Found>,
  run: (path: string) => Promise<RunningServer>,
): Promise<RunningServer | { readonly skipped: string }> {
  const program = await found
  return 'path' in program ? run(program.path) : program
}

function target(kind: Target['kind'], port: number): Target {
  return { kind, host: '127.0.0.1', port }
}

function running(child: ChildProcess, targets: readonly Target[]): RunningServer {
  return { pids: [child.pid ?? 0], targets, stop: () => end(child) }
}

const LISTEN_TIMEOUT_MS = 15_000

/** Waits until all ports are listened on. */
export async function listening(
  child: ChildProcess,
  name: string,
  ports: readonly number[],
  targets: readonly Target[],
): Promise<RunningServer> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (output += data))
  const early = exited(child).then((code) => Promise.reject(new Error(`${name} ended with ${code}: ${output.trim()}`)))
  early.catch(() => {})
  const until = Date.now() + LISTEN_TIMEOUT_MS
  for (const port of ports) {
    while (!isListening(port)) {
      if (Date.now() > until) throw new Error(`${name} does not listen: ${output.trim()}`)
      await Promise.race([sleep(50), early])
    }
  }
  return running(child, targets)
}

/** Asked of the system: a connection to try it would go through to the proxy's backend. */
function isListening(port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
  return readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .some((line) => line.slice(0, 30).includes(local) && line.includes(' 0A '))
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
