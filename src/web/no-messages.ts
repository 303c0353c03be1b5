/** Stands in for the messages of the SDK: the page has words of its own for each of its codes. */
export const PAIRING_ERRORS = {}
export const STORAGE_ERRORS = {}
