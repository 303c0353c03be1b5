import { PairingError, type PairingErrorCode } from '../../client/index.ts'

/** What a failure is called in the table of ends. */
export function codeOf(error: unknown): PairingErrorCode {
  if (error instanceof PairingError) return error.code
  if (error instanceof RangeError || Object(error).name === 'QuotaExceededError') return 'no_space'
  return 'internal'
}
