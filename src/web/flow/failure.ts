import { PairingError, type PairingErrorCode } from '../../client/index.ts'

/** Names a failure as the table of ends does. */
export function codeOf(error: unknown): PairingErrorCode {
  if (error instanceof PairingError) return error.code
  if (error instanceof RangeError || Object(error).name === 'QuotaExceededError') return 'no_space'
  return 'internal'
}
