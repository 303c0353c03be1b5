/** The type of an entry that is a text to be shown, not a file. */
export const TEXT_TYPE = 'application/x-pairlay-text'
export const TEXT_MAX_BYTES = 1_048_576
