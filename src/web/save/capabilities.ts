import { freeRoom } from '../../browser/index.ts'
import type { Capabilities } from '../flow/plan.ts'
import { DISK } from './disk.ts'

/** Ways to save here, each tried. */
export async function capabilities(): Promise<Capabilities> {
  return { picks: isSecureContext && 'showSaveFilePicker' in globalThis, room: await freeRoom(DISK) }
}
