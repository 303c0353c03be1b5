import { WORDS } from './words.ts'

/** Loads a part of the page that comes late. One that is gone was replaced by a newer page, and that is said above the screen. */
export async function late<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    showBanner(WORDS.updated)
    throw error
  }
}

/** Brings what pairs: early, where it will likely be needed. */
export function sides(): Promise<typeof import('./flow/sides.ts')> {
  return late(() => import('./flow/sides.ts'))
}

export function showBanner(words: string): void {
  const banner = document.querySelector<HTMLElement>('#banner')
  if (!banner) return
  banner.hidden = false
  banner.textContent = words
}
