/** The worker's side: the one place where a browser writes to files in its storage without a copy of each. */

/** Questions of the page. Each has a number, and gets one answer with it. */
export type Question =
  | {
      readonly ask: 'open'
      readonly folder: string
      readonly name: string
      readonly at: number
      readonly hasChecksum: boolean
    }
  | { readonly ask: 'write'; readonly file: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly ask: 'close'; readonly file: number }
  | { readonly ask: 'put'; readonly folder: string; readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }

/** An open file, the memory of what was written, or the checksum of a closed one; or the name of what was thrown. */
export type Answer = { readonly value: number | ArrayBuffer } | { readonly error: string }

/** Makes a checksum of these bytes behind those whose checksum is `before`; of none it is 0. */
export type Checksum = (bytes: Uint8Array, before: number) => number

/** Not in the library of types that pages have. */
interface Handle {
  read(buffer: Uint8Array, options: { at: number }): number
  write(buffer: Uint8Array, options: { at: number }): number
  truncate(bytes: number): void
  getSize(): number
  flush(): void
  close(): void
}

interface Open {
  readonly handle: Handle
  readonly checksum: Checksum | undefined
  sum: number
  at: number
}

const READ_BYTES = 1_048_576

/**
 * Answers a `FileWorker`. Call it in a worker: `pairlay/browser/worker` does, without a checksum. With one of the app's own,
 * `BrowserPartials` has it of each file that is received, as an archive needs it.
 */
export function serveFiles(checksum?: Checksum): void {
  const open = new Map<number, Open>()
  let files = 0

  addEventListener('message', ({ data: { id, question } }: MessageEvent<{ id: number; question: Question }>) => {
    answer(question).then(
      (value) => postMessage({ id, answer: { value } }, { transfer: value instanceof ArrayBuffer ? [value] : [] }),
      (error) => postMessage({ id, answer: { error: String(Object(error).name) } }),
    )
  })

  async function answer(question: Question): Promise<number | ArrayBuffer> {
    switch (question.ask) {
      case 'open':
        return openAt(question.folder, question.name, question.at, question.hasChecksum)
      case 'write':
        return write(fileOf(question.file), question.bytes)
      case 'close':
        return close(question.file)
      case 'put': {
        const file = await openAt(question.folder, question.name, 0, false)
        write(fileOf(file), question.bytes)
        return close(file)
      }
      default:
        return question satisfies never
    }
  }

  async function openAt(folder: string, name: string, at: number, hasChecksum: boolean): Promise<number> {
    let directory = await navigator.storage.getDirectory()
    for (const part of folder.split('/')) directory = await directory.getDirectoryHandle(part, { create: true })
    const entry = await directory.getFileHandle(name, { create: true })
    const handle = await (entry as unknown as { createSyncAccessHandle(): Promise<Handle> }).createSyncAccessHandle()
    try {
      handle.truncate(at)
      const wanted = hasChecksum ? checksum : undefined
      open.set(++files, { handle, checksum: wanted, sum: wanted ? sumOf(wanted, handle, at) : 0, at })
      return files
    } catch (error) {
      handle.close()
      throw error
    }
  }

  function close(number: number): number {
    const file = fileOf(number)
    open.delete(number)
    try {
      file.handle.flush()
      if (file.handle.getSize() !== file.at) throw new DOMException('', 'QuotaExceededError')
    } finally {
      file.handle.close()
    }
    return file.sum
  }

  function fileOf(number: number): Open {
    const file = open.get(number)
    if (!file) throw new DOMException('', 'InvalidStateError')
    return file
  }
}

function sumOf(checksum: Checksum, handle: Handle, bytes: number): number {
  const buffer = new Uint8Array(READ_BYTES)
  let sum = 0
  for (let at = 0; at < bytes; ) {
    const read = handle.read(buffer.subarray(0, Math.min(READ_BYTES, bytes - at)), { at })
    if (read < 1) throw new DOMException('', 'NotReadableError')
    sum = checksum(buffer.subarray(0, read), sum)
    at += read
  }
  return sum
}

function write(file: Open, bytes: Uint8Array<ArrayBuffer>): ArrayBuffer {
  // Where there is no room some browsers write less, or return no sensible number, instead of throwing.
  if (file.handle.write(bytes, { at: file.at }) !== bytes.length) throw new DOMException('', 'QuotaExceededError')
  file.at += bytes.length
  if (file.checksum) file.sum = file.checksum(bytes, file.sum)
  return bytes.buffer
}
