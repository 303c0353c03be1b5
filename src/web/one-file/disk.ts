import { FileWorker } from '../../browser/index.ts'

/** Stands in for the worker: a page in one file has none, and keeps nothing in the browser's storage. */
export const DISK = new FileWorker(() => {
  throw new DOMException('a page in one file has no worker', 'NotSupportedError')
})
