import { STORAGE_ERRORS } from './error-messages.ts'

/** An error of the kind that the browser's own storage throws. */
export function storageError(name: string): DOMException {
  return new DOMException(STORAGE_ERRORS[name], name)
}
