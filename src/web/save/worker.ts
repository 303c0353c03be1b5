import { serveFiles } from '../../browser/index.ts'
import { crc32 } from './crc.ts'

/** The worker of the page, which makes the checksums that archives need. */
serveFiles(crc32)
