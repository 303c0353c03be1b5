/** Stands in for what Node tells of a connection that failed: a browser tells a page nothing. */
export function connectionFailure() {
  return {}
}
