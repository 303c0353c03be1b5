import type { Ready } from './things.ts'

/** How long a link to received bytes stays good after it was clicked, in milliseconds. */
const LINK_LIVES_MS = 600_000
/** Browsers drop downloads that come faster. */
const BETWEEN_MS = 300
/** A download reads at least so many bytes in a millisecond. Nobody tells when it has ended. */
const READ_BYTES_PER_MS = 50_000
const READ_MS = 2_000

let last: Promise<void> = Promise.resolve()

/** Hands files to the browser's downloads, one after the other. Resolves when each was handed over. */
export function download(files: readonly Ready[]): Promise<void> {
  for (const file of files) {
    last = last.then(() => {
      handOver(file)
      return new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
    })
  }
  return last
}

function handOver({ blob, name }: Ready): void {
  // No type of its own: a browser would put another ending behind the name.
  const url = URL.createObjectURL(blob.slice(0, blob.size, 'application/octet-stream'))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), LINK_LIVES_MS)
}

/** Resolves when downloads of so many bytes that were handed over have likely read them. */
export function haveLikelyRead(bytes: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, READ_MS + bytes / READ_BYTES_PER_MS))
}

/** The same as files for the share sheet, or undefined where it does not take them or is not what people use. */
export function forSharing(files: readonly Ready[]): File[] | undefined {
  if (!matchMedia('(pointer: coarse)').matches || !navigator.canShare) return undefined
  const shared = files.map(({ blob, name, type }) => new File([blob], name, { type }))
  return navigator.canShare({ files: shared }) ? shared : undefined
}

/** Apps whose browser drops downloads without a word. */
const IN_APP = /; wv\)|FBAN|FBAV|Instagram|Line\//

/** Reports whether files can be saved here at all. */
export function canDownload(agent = navigator.userAgent): boolean {
  return 'download' in HTMLAnchorElement.prototype && !IN_APP.test(agent)
}
