import { lstatSync, mkdirSync, readdirSync, readlinkSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

/** Makes a copy of this repository find what is installed, and instead of this repository's own packages those of the copy. */
export function linkModules(from: string, to: string): void {
  mkdirSync(to)
  for (const name of readdirSync(from)) {
    const target = join(from, name)
    const isOwn = lstatSync(target).isSymbolicLink()
    symlinkSync(isOwn ? readlinkSync(target) : target, join(to, name))
  }
}
