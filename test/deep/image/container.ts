import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Image } from './image.ts'

/** A user that no image knows, as clusters give each namespace one, in the group of root. */
const ARBITRARY_USER = { uid: 1_000_680_000, gid: 0 }

export interface Limits {
  readonly environment?: Readonly<Record<string, string>>
  readonly memoryBytes?: number
  /** Without it the container has a network of its own with nothing but a loopback address, where every port is free. */
  readonly hostNetwork?: boolean
}

/** A line of the relay's log. */
interface Line {
  readonly msg: string
  readonly port?: number
}

/** Memory as runc reports it, in bytes. */
export interface MemoryUse {
  readonly max: number
  readonly limit: number
}

/**
 * An image as runc runs it: its own command, environment and folder, on files that nobody can write, without capabilities, by
 * a user that it does not know.
 */
export class Container {
  readonly lines: Line[] = []
  /** The exit code of its first process. */
  readonly exited: Promise<number>
  readonly #runc: readonly string[]
  readonly #name: string
  readonly #folder: string
  readonly #image: Image
  readonly #process: ChildProcess

  /** Resolves when the relay in it listens. Rejects with what it said when it ends before that. */
  static async start(image: Image, limits: Limits = {}): Promise<Container> {
    const folder = await mkdtemp(join(tmpdir(), 'pairlay-container-'))
    spawnSync('runc', ['spec', '--bundle', folder])
    const path = join(folder, 'config.json')
    await writeFile(path, JSON.stringify(withLimits(JSON.parse(await readFile(path, 'utf8')), image, folder, limits)))
    const container = new Container(image, folder)
    await container.#listening()
    return container
  }

  private constructor(image: Image, folder: string) {
    this.#image = image
    this.#folder = folder
    this.#name = basename(folder)
    this.#runc = ['--root', join(folder, 'state')]
    this.#process = spawn('runc', [...this.#runc, 'run', '--bundle', folder, this.#name], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.exited = once(this.#process, 'close').then(([code, signal]) => code ?? signal)
  }

  async #listening(): Promise<void> {
    const { stdout } = this.#process
    if (!stdout) throw new Error('the container has no output')
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: stdout }).on('line', (text) => {
        const line: Line = JSON.parse(text)
        this.lines.push(line)
        if (line.msg === 'the relay is ready') resolve()
      })
      this.exited.then((code) => reject(new Error(`the container ended with ${code}`)), reject)
    })
  }

  get port(): number {
    return this.lines.find(({ msg }) => msg === 'started')?.port ?? 0
  }

  /** Runs the image's health check in the container, as what runs it would. Returns its exit code. */
  health(environment: Readonly<Record<string, string>> = {}): number | null {
    const [form, ...command] = this.#image.config.Healthcheck.Test
    if (form !== 'CMD') throw new Error(`a health check with a shell: ${form}`)
    const variables = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`])
    return this.#call('exec', ...variables, this.#name, ...command).status
  }

  /** Process ids in the container. */
  processes(): readonly number[] {
    return JSON.parse(this.#call('ps', '--format', 'json', this.#name).stdout)
  }

  memory(): MemoryUse {
    return JSON.parse(this.#call('events', '--stats', this.#name).stdout).data.memory.usage
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#call('kill', this.#name, name)
  }

  async remove(): Promise<void> {
    this.#call('delete', '--force', this.#name)
    await this.exited
    await rm(this.#folder, { recursive: true, force: true })
  }

  #call(...args: string[]) {
    return spawnSync('runc', [...this.#runc, ...args], { encoding: 'utf8' })
  }
}

interface Spec {
  readonly process: object
  readonly linux: { readonly namespaces: readonly { readonly type: string }[] }
}

function withLimits(spec: Spec, { config, root }: Image, folder: string, limits: Limits) {
  const { environment = {}, memoryBytes: limit, hostNetwork = false } = limits
  return {
    ...spec,
    process: {
      ...spec.process,
      terminal: false,
      user: ARBITRARY_USER,
      args: config.Entrypoint,
      env: [...config.Env, ...Object.entries(environment).map(([name, value]) => `${name}=${value}`)],
      cwd: config.WorkingDir,
      capabilities: {},
    },
    root: { path: root, readonly: true },
    linux: {
      ...spec.linux,
      cgroupsPath: `/${basename(folder)}`,
      namespaces: spec.linux.namespaces.filter(({ type }) => !(hostNetwork && type === 'network')),
      // Nothing of it goes to a disk.
      resources: limit === undefined ? {} : { memory: { limit, swap: limit } },
    },
  }
}
