import { once } from 'node:events'
import { lstat, stat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'

/**
 * Returns a path to listen on. A socket file there that nobody listens on any more, as a crash leaves it, is taken away. Throws
 * where no file can be made at all, which Node reports as EACCES and EADDRINUSE.
 */
export async function freeSocketPath(path: string): Promise<string> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) {
    const folder = path.slice(0, path.lastIndexOf('/')) || '/'
    await stat(folder).catch(() => Promise.reject(new Error(`there is no folder ${folder}`)))
    return path
  }
  if (!found.isSocket()) throw new Error('there is a file that is no socket')
  const probe = connect(path)
  try {
    await once(probe, 'connect')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') await unlink(path)
  } finally {
    probe.destroy()
  }
  return path
}
