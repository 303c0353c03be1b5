import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe } from 'vitest'

const hasNginx = spawnSync('nginx', ['-v']).status === 0

/** Tests that need an nginx: without one they are skipped, or fail when REQUIRE_ALL is set. */
export const describeNginx: (name: string, tests: () => void) => void =
  hasNginx || process.env.REQUIRE_ALL === '1'
    ? describe
    : (name, tests) => describe.skip(`${name} (skipped: there is no nginx here)`, tests)

/** Directives of nginx for requests, and others for WebSockets where they differ. */
export interface Rules {
  readonly location?: string
  readonly sockets?: string
}

/**
 * A real nginx in front of a relay, as a process of its own. It listens on a socket in its folder, because it cannot be asked
 * for a free port; what comes in on one is handed to it byte for byte.
 */
export class Nginx {
  readonly #folder: string
  readonly #entrance: Server
  readonly #connections = new Set<Socket>()
  #process: ChildProcess | undefined

  /** Passes everything on, as the rules say. */
  static async start(relayPort: number, rules: Rules): Promise<Nginx> {
    const folder = await mkdtemp(join(tmpdir(), 'pairlay-nginx-'))
    await writeFile(join(folder, 'nginx.conf'), configuration(folder, relayPort, rules))
    const nginx = new Nginx(folder)
    nginx.#entrance.listen(0, '127.0.0.1')
    await once(nginx.#entrance, 'listening')
    await nginx.resume()
    return nginx
  }

  private constructor(folder: string) {
    this.#folder = folder
    this.#entrance = createServer((client) => this.#carry(client, connect(join(folder, 'listen'))))
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#entrance.address() as AddressInfo).port}`
  }

  /** Ends the process, and with it every connection. */
  async interrupt(): Promise<void> {
    const process = this.#process
    this.#process = undefined
    if (!process || process.exitCode !== null) return
    const exited = once(process, 'exit')
    process.kill('SIGKILL')
    await exited
    await rm(join(this.#folder, 'listen'), { force: true })
  }

  /** Starts the process. */
  async resume(): Promise<void> {
    const process = spawn('nginx', ['-p', this.#folder, '-c', join(this.#folder, 'nginx.conf'), '-e', 'stderr'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    process.stderr.on('data', (text) => {
      said += text
    })
    this.#process = process
    while (!(await this.#answers())) {
      if (process.exitCode !== null) throw new Error(`nginx exited with ${process.exitCode}: ${said}`)
      await delay(10)
    }
  }

  async stop(): Promise<void> {
    await this.interrupt()
    for (const connection of this.#connections) connection.destroy()
    this.#entrance.close()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #carry(client: Socket, nginx: Socket): void {
    for (const [from, to] of [
      [client, nginx],
      [nginx, client],
    ] as const) {
      this.#connections.add(from)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#connections.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }

  async #answers(): Promise<boolean> {
    const probe = connect(join(this.#folder, 'listen'))
    try {
      await once(probe, 'connect')
      return true
    } catch {
      return false
    } finally {
      probe.destroy()
    }
  }
}

function configuration(folder: string, relayPort: number, { location = '', sockets = location }: Rules): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
daemon off;
master_process off;
pid ${folder}/pid;
error_log stderr crit;
events {}
http {
  access_log off;
  ${temporary.map((each) => `${each}_temp_path ${folder}/${each};`).join('\n  ')}
  server {
    listen unix:${folder}/listen;
    location / {
      ${location}
      proxy_pass http://127.0.0.1:${relayPort};
    }
    location ~ /socket$ {
      ${sockets}
      proxy_pass http://127.0.0.1:${relayPort};
    }
  }
}
`
}
