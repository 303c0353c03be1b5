import { scanned } from '../code-text.ts'
import { button, h } from '../dom.ts'
import { late } from '../late.ts'
import { fill, WORDS } from '../words.ts'
import type { Context, Rendered } from './parts.ts'

/** Reports whether a camera can be asked for: browsers have none for a page without https. */
export function mayScan(): boolean {
  return isSecureContext && 'mediaDevices' in navigator
}

/** The camera's picture, until it has a code in it. */
export function scanning(context: Context): Rendered {
  const { controller } = context
  const problem = h('p', { class: 'problem', role: 'status' })
  const video = h('video', { muted: true, playsInline: true, 'aria-label': WORDS.cameraPicture })
  const body = h('div', { class: 'card scan', 'data-keep': 'scan' }, video, problem)
  queueMicrotask(() => void watch(context, video, problem))
  return {
    title: WORDS.scanTitle,
    body: [
      h('h1', { tabIndex: -1 }, WORDS.scanTitle),
      body,
      h(
        'div',
        { class: 'buttons' },
        button(WORDS.back, () => controller.tell({ is: 'back' })),
      ),
    ],
  }
}

async function watch({ controller, relay }: Context, video: HTMLVideoElement, problem: HTMLElement): Promise<void> {
  // A rendering that only brought what the screen had already.
  if (!video.isConnected) return
  const found = (text: string): boolean => {
    const what = scanned(text, relay)
    if (what.is === 'code') {
      navigator.vibrate?.(60)
      controller.tell({ is: 'link', code: what.code, from: 'camera' })
      return true
    }
    problem.textContent = what.is === 'elsewhere' ? fill('otherPlace', { address: what.place }) : WORDS.notACode
    return false
  }
  // The app tells above the screen of a part that is gone.
  const part = await late(() => import('../scan.ts')).catch(() => undefined)
  video.hidden = !part
  try {
    await part?.scan(video, found)
  } catch (error) {
    problem.textContent = Object(error).name === 'NotAllowedError' ? WORDS.notAllowed : WORDS.noCamera
    video.hidden = true
  }
}
