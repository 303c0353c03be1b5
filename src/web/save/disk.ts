import { FileWorker } from '../../browser/index.ts'
import workerUrl from './worker.ts?worker&url'

/** Types that the browser's library does not have yet. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string }
}

const { trustedTypes } = globalThis as unknown as { trustedTypes?: TrustedTypes }

/** Gives out one address, that of the worker. The page's policy takes scripts from no other source. */
const policy = trustedTypes?.createPolicy('pairlay', {
  createScriptURL: (url) => {
    if (url !== workerUrl) throw new TypeError('this is not the worker')
    return url
  },
})

/** The one worker that writes. */
export const DISK = new FileWorker(() => {
  return new Worker(policy?.createScriptURL(workerUrl) ?? workerUrl, { type: 'module' })
})
