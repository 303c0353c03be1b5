import { serveFiles } from './serve-files.ts'

/** The worker of `FileWorker`, as `pairlay/browser/worker`. */
serveFiles()
