import { rmSync } from 'node:fs'
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises'
import { CliError } from './exit.ts'
import { exists, unwritten } from './files.ts'
import { partOf } from './names.ts'
import { shown } from './shown.ts'

/** The mode of a received file, unless another was asked for: nobody but its owner reads what was encrypted on its way. */
const PRIVATE = 0o600

/** The temporary files of this process. None outlives it when it ends by itself, whatever it was waiting for. */
const parts = new Set<string>()
process.on('exit', () => {
  for (const part of parts) rmSync(part, { force: true })
})

/** A file under its temporary name. It gets its own name in `commit`, and is gone after `discard`. */
export class PartFile {
  readonly path: string
  readonly #part: string
  readonly #handle: FileHandle
  readonly #mode: number | undefined
  #open = true

  private constructor(path: string, part: string, handle: FileHandle, mode: number | undefined) {
    this.path = path
    this.#part = part
    this.#handle = handle
    this.#mode = mode
  }

  /**
   * Creates `path`.part, or `path`.1.part and so on where one is left of a run that could not clean up, for its owner alone.
   * The file gets `mode` with its name. Throws CliError when it cannot, or when `path` is there already.
   */
  static async create(path: string, mode?: number): Promise<PartFile> {
    if (await exists(path)) throw taken(path)
    for (let n = 0; ; n++) {
      const part = partOf(path, n)
      try {
        const handle = await open(part, 'wx', PRIVATE)
        parts.add(part)
        return new PartFile(path, part, handle, mode)
      } catch (error) {
        const reason = error as NodeJS.ErrnoException
        if (reason.code !== 'EEXIST') throw unwritten(`create ${shown(part)}`, reason)
      }
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#handle.appendFile(bytes).catch((error: NodeJS.ErrnoException) => {
      throw unwritten(`write ${shown(this.path)}`, error)
    })
  }

  /** Gives the file its own name. Throws CliError when it cannot, or when something came meanwhile that has this name. */
  async commit(): Promise<void> {
    try {
      if (this.#mode !== undefined) await this.#handle.chmod(this.#mode)
      await this.#close()
      // Unlike a rename, a link never takes the place of anything. Not every file system has links.
      await link(this.#part, this.path).catch(async (error: NodeJS.ErrnoException) => {
        if (error.code === 'EEXIST' || (await exists(this.path))) throw taken(this.path)
        await rename(this.#part, this.path)
      })
    } catch (error) {
      if (error instanceof CliError) throw error
      throw unwritten(`save ${shown(this.path)}`, error as NodeJS.ErrnoException)
    }
    await this.discard()
  }

  async discard(): Promise<void> {
    await this.#close().catch(() => {
      // A file that could not be written is not wanted.
    })
    await unlink(this.#part).catch(() => {
      // Committed or removed by somebody else: gone is what it should be.
    })
    parts.delete(this.#part)
  }

  async #close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await this.#handle.close()
  }
}

function taken(path: string): CliError {
  return new CliError(`${shown(path)} is there already, and is not overwritten.`)
}
