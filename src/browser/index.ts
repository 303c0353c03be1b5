/** Files of an app in a browser, as `pairlay/browser`: where an offer is kept, and where one goes on that was cut. */

export { FileWorker, freeRoom } from './file-worker.ts'
export { keptTokens } from './folders.ts'
export { type BrowserPartial, BrowserPartials, type BrowserPartialsOptions, type Kept } from './partials.ts'
export type { Received, ReceivedFile } from './received.ts'
export { type Checksum, serveFiles } from './serve-files.ts'
export { BrowserTransfers } from './transfers.ts'
