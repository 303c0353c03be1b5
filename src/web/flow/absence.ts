/** How long a device may be away before it is said, in milliseconds. */
export const AWAY_MS = 5_000

/** Reports with each look whether a device has been away for long enough to say so. */
export function absence(): (isPresent: boolean) => boolean {
  let since: number | undefined
  return (isPresent) => {
    since = isPresent ? undefined : (since ?? performance.now())
    return since !== undefined && performance.now() - since >= AWAY_MS
  }
}
