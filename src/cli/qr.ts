import encodeQR from 'qr'

/** A QR code in half blocks, black on white whatever the terminal's colours are. */
export function qrCode(text: string): string {
  const modules = encodeQR(text, 'raw', { ecc: 'low', border: 2 })
  const lines: string[] = []
  for (let y = 0; y < modules.length; y += 2) {
    const cells = (modules[y] ?? []).map((upper, x) => {
      const lower = modules[y + 1]?.[x] ?? false
      return upper ? (lower ? '█' : '▀') : lower ? '▄' : ' '
    })
    lines.push(`\u001b[30;107m${cells.join('')}\u001b[0m`)
  }
  return lines.join('\n')
}
