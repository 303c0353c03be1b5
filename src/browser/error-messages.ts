/** Messages by the name of an error, in what the browser's storage throws and this adds. */
export const STORAGE_ERRORS: Readonly<Record<string, string | undefined>> = {
  InvalidStateError: 'Another page has this transfer.',
  NotFoundError: 'There is no such transfer, or it is not complete.',
  NotSupportedError: 'This page can keep no files: it is not served over HTTPS, or the worker did not start.',
  QuotaExceededError: 'The browser has no room for it.',
}
