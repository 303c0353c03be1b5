import { rmSync } from 'node:fs'

/** Paths that do not outlive this process when it ends by itself, whatever it was waiting for. */
export const removedAtExit = new Set<string>()

process.on('exit', () => {
  for (const path of removedAtExit) rmSync(path, { recursive: true, force: true })
})
