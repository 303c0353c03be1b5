/** The relay of the page: the directory that it is in, without a slash at its end. */
export function relayOfPage(): string {
  return new URL('.', document.baseURI).href.replace(/\/$/, '')
}
