import type { State } from './flow/state.ts'

/** How long a code that is shown keeps the screen on, in milliseconds. */
const CODE_MS = 300_000

let lock: WakeLockSentinel | undefined
let isWanted = false
let codeSince: number | undefined

/** Keeps the screen on while bytes flow, and for some minutes while a code is shown. Called with each state, and now and then. */
export function keepAwake({ screen, transfers }: State, now = performance.now()): void {
  codeSince = screen.is === 'pairing' ? (codeSince ?? now) : undefined
  const isCode = codeSince !== undefined && now - codeSince < CODE_MS
  isWanted =
    isCode || transfers.some(({ stage }) => stage.is === 'running' || stage.is === 'comparing' || stage.is === 'saving')
  void update()
}

let isUpdating = false

async function update(): Promise<void> {
  if (isUpdating || !('wakeLock' in navigator)) return
  isUpdating = true
  try {
    if (isWanted && !lock && document.visibilityState === 'visible') {
      const taken = await navigator.wakeLock.request('screen')
      lock = taken
      // The browser takes it back when the page is hidden.
      taken.addEventListener('release', () => {
        if (lock === taken) lock = undefined
      })
    } else if (!isWanted && lock) {
      const held = lock
      lock = undefined
      await held.release()
    }
  } catch {
    // A low battery, or a policy: the screen goes off as it always does.
  } finally {
    isUpdating = false
  }
}

addEventListener('visibilitychange', () => void update())
