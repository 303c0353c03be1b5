import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from '../../support/redis-server.ts'

/** The proxies that `deploy/` ships, in front of a test's nodes: the shipped files, with a test's addresses in them. */

export interface Balancer {
  readonly url: string
  stop(): Promise<void>
}

interface Ports {
  readonly own: number
  readonly nodes: readonly [number, number]
}

export interface Kind {
  readonly name: 'haproxy' | 'nginx'
  readonly file: string
  /** Puts the addresses of a test into the file, and what else it needs where nobody has installed it. */
  readonly place: (config: string, ports: Ports, folder: string) => string
  /** Sends every call to the next node, as the file says one can. */
  readonly goRound: (config: string) => string
  readonly args: (file: string, folder: string) => string[]
}

export const HAPROXY: Kind = {
  name: 'haproxy',
  file: 'haproxy.cfg',
  place: (config, { own, nodes }) =>
    replaced(config, [
      ['  bind :8080', `  bind 127.0.0.1:${own}`],
      [' relay1:8080', ` 127.0.0.1:${nodes[0]}`],
      [' relay2:8080', ` 127.0.0.1:${nodes[1]}`],
    ]),
  goRound: (config) =>
    replaced(config, [
      ['  balance hash path,field(4,/)\n', ''],
      ['  # balance roundrobin', '  balance roundrobin'],
    ]),
  args: (file) => ['-db', '-f', file],
}

export const NGINX: Kind = {
  name: 'nginx',
  file: 'nginx.conf',
  place: (config, { own, nodes }, folder) =>
    replaced(config, [
      ['listen 8080;', `listen 127.0.0.1:${own};`],
      ['server relay1:8080', `server 127.0.0.1:${nodes[0]}`],
      ['server relay2:8080', `server 127.0.0.1:${nodes[1]}`],
      [
        'http {',
        `http {\n${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${folder}/${each};`).join('\n')}`,
      ],
    ]),
  goRound: (config) => replaced(config, [['    hash $session consistent;\n', '']]),
  args: (file, folder) => {
    const process = `daemon off; master_process off; pid ${folder}/nginx.pid;`
    return ['-p', folder, '-e', join(folder, 'error.log'), '-c', file, '-g', process]
  },
}

// Where an ordinary user's PATH does not lead.
const env = { PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` }

/** Reports whether a proxy is there. Caddy says its version when it is asked in its own way. */
export function isInstalled({ name }: { readonly name: string }): boolean {
  return spawnSync(name, [name === 'caddy' ? 'version' : '-v'], { env }).status === 0
}

/** Resolves when it answers for one of the nodes. */
export async function startBalancer(
  kind: Kind,
  nodes: readonly [{ readonly port: number }, { readonly port: number }],
  { goingRound = false }: { readonly goingRound?: boolean } = {},
): Promise<Balancer> {
  const folder = await mkdtemp(join(tmpdir(), `pairlay-${kind.name}-`))
  const own = await freePort()
  const shipped = readFileSync(new URL(`../../../deploy/${kind.file}`, import.meta.url), 'utf8')
  const config = goingRound ? kind.goRound(shipped) : shipped
  const file = join(folder, kind.file)
  await writeFile(file, kind.place(config, { own, nodes: [nodes[0].port, nodes[1].port] }, folder))
  return launch(kind.name, kind.args(file, folder), `http://127.0.0.1:${own}`, folder)
}

/** Starts a proxy that has its files in a folder, which goes with it. Resolves when it is up: when the relay answers through it. */
export async function launch(
  program: string,
  args: readonly string[],
  url: string,
  folder: string,
  isUp = answers,
): Promise<Balancer> {
  // Caddy writes what it was told into its user's folder.
  const child = spawn(program, args, { env: { ...env, XDG_CONFIG_HOME: folder }, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const stop = async () => {
    child.kill('SIGKILL')
    if (!hasEnded(child)) await exited
    await rm(folder, { recursive: true, force: true })
  }
  while (!(await isUp(url))) {
    if (hasEnded(child)) {
      await stop()
      throw new Error(`${program} does not run: ${said}`)
    }
    await delay(20)
  }
  return { url, stop }
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

async function answers(url: string): Promise<boolean> {
  return fetch(`${url}/readyz`).then(
    ({ ok }) => ok,
    () => false,
  )
}

/** Each of these stands in the file, and stands no more. */
export function replaced(text: string, changes: readonly (readonly [from: string, to: string])[]): string {
  return changes.reduce((changed, [from, to]) => {
    if (!changed.includes(from)) throw new Error(`the shipped file does not have ${JSON.stringify(from)}`)
    return changed.replaceAll(from, () => to)
  }, text)
}
