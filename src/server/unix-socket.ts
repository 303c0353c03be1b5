import { once } from 'node:events'
import { lstat, unlink } from 'node:fs/promises'
import { connect } from 'node:net'

/** Returns a path to listen on. A socket file there that nobody listens on any more, as a crash leaves it, is taken away. */
export async function freeSocketPath(path: string): Promise<string> {
  const found = await lstat(path).catch(() => undefined)
  if (!found?.isSocket()) return path
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
