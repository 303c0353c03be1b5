import type { Capabilities } from '../flow/plan.ts'
import { Disk } from './disk.ts'

let disk: Disk | undefined

/** The one worker that writes. */
export function theDisk(): Disk {
  disk ??= new Disk()
  return disk
}

/** Ways to save here, each tried. */
export async function capabilities(): Promise<Capabilities> {
  return { picks: isSecureContext && 'showSaveFilePicker' in globalThis, room: await room() }
}

async function room(): Promise<number | undefined> {
  try {
    if (!('locks' in navigator)) return undefined
    const { quota = 0, usage = 0 } = await navigator.storage.estimate()
    const root = await navigator.storage.getDirectory()
    const name = `try-${crypto.randomUUID()}`
    await theDisk().put('pairlay', name, 'x')
    await (await root.getDirectoryHandle('pairlay')).removeEntry(name)
    return Math.max(0, quota - usage)
  } catch {
    return undefined
  }
}
