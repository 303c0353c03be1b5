import decodeQR from 'qr/decode.js'

/** The side of the square that is looked at, in pixels. */
const SIDE = 480
const BETWEEN_LOOKS_MS = 120

/**
 * Looks for QR codes with the rear camera, and shows what it sees in `video`. Calls `found` with the text of each. Stops when
 * `found` returns true, or when `video` is no longer in the page. Rejects as getUserMedia does.
 */
export async function scan(video: HTMLVideoElement, found: (text: string) => boolean): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } })
  try {
    video.srcObject = stream
    await video.play()
    const canvas = new OffscreenCanvas(SIDE, SIDE)
    const context = canvas.getContext('2d', { willReadFrequently: true })
    while (context && video.isConnected) {
      const text = look(video, context)
      if (text !== undefined && found(text)) return
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_LOOKS_MS))
    }
  } catch (error) {
    // Left while the camera was starting.
    if (video.isConnected) throw error
  } finally {
    for (const track of stream.getTracks()) track.stop()
    video.srcObject = null
  }
}

/** The text of a QR code in the middle of the picture. */
function look(video: HTMLVideoElement, context: OffscreenCanvasRenderingContext2D): string | undefined {
  const { videoWidth: width, videoHeight: height } = video
  const side = Math.min(width, height)
  if (side === 0) return undefined
  context.drawImage(video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE)
  try {
    return decodeQR(context.getImageData(0, 0, SIDE, SIDE))
  } catch {
    return undefined
  }
}
