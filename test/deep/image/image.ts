import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const BASE = fileURLToPath(new URL('base.sh', import.meta.url))
const BASE_NAME = 'localhost/base'
const NAME = 'localhost/pairlay'
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

const run = async (program: string, ...args: string[]): Promise<string> =>
  (await promisify(execFile)(program, args, { cwd: ROOT, maxBuffer: MAX_OUTPUT_BYTES })).stdout.trim()

/** Programs that are missing here, and root where one is not. */
export const missing: readonly string[] = [
  ...['buildah', 'runc'].filter((program) => spawnSync(program, ['--version']).status !== 0),
  ...(process.getuid?.() === 0 ? [] : ['root']),
]

/** The configuration of an image, in the form of Docker. */
export interface ImageConfig {
  readonly User: string
  readonly Env: readonly string[]
  readonly Entrypoint: readonly string[]
  readonly WorkingDir: string
  readonly Labels: Readonly<Record<string, string>>
  readonly Healthcheck: { readonly Test: readonly string[] }
}

/** The image of the Dockerfile, built for real on a base of this machine's programs, and unpacked. */
export class Image {
  readonly config: ImageConfig
  /** The folder with its files. */
  readonly root: string
  /** The folder with the files of its base. */
  readonly base: string
  readonly #folder: string
  readonly #buildah: (...args: string[]) => Promise<string>

  /** Builds it. Takes a minute or more: it installs the packages and builds as the Dockerfile says. */
  static async build(labels: { readonly version: string; readonly revision: string }): Promise<Image> {
    // Not in /tmp, which a machine may keep in its memory.
    const folder = await mkdtemp('/var/tmp/pairlay-image-')
    try {
      return await Image.#buildIn(folder, labels)
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      throw error
    }
  }

  static async #buildIn(folder: string, labels: { readonly version: string; readonly revision: string }) {
    const storage = ['--root', join(folder, 'images'), '--runroot', join(folder, 'state'), '--storage-driver', 'vfs']
    const buildah = (...args: string[]) => run('buildah', ...storage, ...args)
    const bud = ['bud', '--format', 'docker', '--isolation', 'chroot', '--network', 'host']
    const base = join(folder, 'base')
    await mkdir(base)
    await run(BASE, base, process.execPath)
    await buildah(...bud, '--tag', BASE_NAME, base)
    const cache = await run('npm', 'config', 'get', 'cache')
    await buildah(
      ...[...bud, '--tag', NAME, '--volume', `${cache}:/root/.npm`],
      ...['--build-arg', `NODE_IMAGE=${BASE_NAME}`],
      ...['--build-arg', `VERSION=${labels.version}`, '--build-arg', `REVISION=${labels.revision}`, '.'],
    )
    const container = await buildah('from', NAME)
    const { Docker } = JSON.parse(await buildah('inspect', '--type', 'image', NAME))
    return new Image(folder, Docker.config, await buildah('mount', container), buildah)
  }

  private constructor(
    folder: string,
    config: ImageConfig,
    root: string,
    buildah: (...args: string[]) => Promise<string>,
  ) {
    this.#folder = folder
    this.config = config
    this.root = root
    this.base = join(folder, 'base/root')
    this.#buildah = buildah
  }

  read(path: string): Promise<string> {
    return readFile(join(this.root, path), 'utf8')
  }

  async remove(): Promise<void> {
    await this.#buildah('rm', '--all')
    await rm(this.#folder, { recursive: true, force: true })
  }
}
