import encodeQR from 'qr'
import { isLoopback } from './relay.ts'
import type { Terminal } from './terminal.ts'

/** Lines that follow a QR code and are to be seen with it. */
const LINES_BELOW = 7
/** How long a relay may take to say what it has, and in how many bytes. */
const PATIENCE_MS = 3_000
const ANSWER_MAX_BYTES = 4_096

/** Reports whether a relay has a page that its links lead to. Never rejects. A relay on this machine has none for others. */
export async function hasPage(relay: string): Promise<boolean> {
  if (isLoopback(relay)) return false
  try {
    const response = await fetch(`${relay}/version`, { redirect: 'error', signal: AbortSignal.timeout(PATIENCE_MS) })
    let text = ''
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += piece
      if (text.length > ANSWER_MAX_BYTES) return false
    }
    return response.ok && JSON.parse(text).page === true
  } catch {
    return false
  }
}

/**
 * Returns a QR code in half blocks, or undefined where the terminal has no room for it. It is black on white whatever the
 * terminal's colours are; without colours its light parts are the blocks, for a dark terminal.
 */
export function qrCode(text: string, { columns, rows }: Pick<Terminal, 'columns' | 'rows'>): string | undefined {
  const modules = encodeQR(text, 'raw', { ecc: 'low', border: 2 })
  if (modules.length > columns || Math.ceil(modules.length / 2) + LINES_BELOW > rows) return undefined
  const [begin, end] = process.env.NO_COLOR ? ['', ''] : ['\u001b[30;107m', '\u001b[0m']
  const isDrawn = (module = false) => module === (begin !== '')
  const lines: string[] = []
  for (let y = 0; y < modules.length; y += 2) {
    const cells = (modules[y] ?? []).map((upper, x) => {
      const [above, below] = [isDrawn(upper), isDrawn(modules[y + 1]?.[x])]
      return above ? (below ? '█' : '▀') : below ? '▄' : ' '
    })
    lines.push(`${begin}${cells.join('')}${end}`)
  }
  return lines.join('\n')
}
