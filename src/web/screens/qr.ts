import { type Bitmap2D, correction, generate, mode } from 'lean-qr'

/** Around the code, in modules. */
const MARGIN = 4
/** For addresses. The library would try kanji, too, and make a table for it: 100 ms. */
const MODES = [mode.numeric, mode.alphaNumeric, mode.ascii, mode.utf8]
const SVG = 'http://www.w3.org/2000/svg'

/** A QR code as a picture: black on white in every theme, with four modules around it. */
export function qrPicture(text: string, label: string): SVGSVGElement {
  const code = generate(text, { modes: MODES, minCorrectionLevel: correction.M, maxCorrectionLevel: correction.M })
  const side = code.size + 2 * MARGIN
  const svg = document.createElementNS(SVG, 'svg')
  for (const [name, value] of Object.entries({
    viewBox: `0 0 ${side} ${side}`,
    class: 'qr',
    role: 'img',
    'aria-label': label,
  }))
    svg.setAttribute(name, value)
  const paper = document.createElementNS(SVG, 'rect')
  for (const [name, value] of Object.entries({ width: side, height: side, fill: '#fff' }))
    paper.setAttribute(name, `${value}`)
  const ink = document.createElementNS(SVG, 'path')
  ink.setAttribute('d', runsIn(code).join(''))
  ink.setAttribute('fill', '#000')
  svg.append(paper, ink)
  return svg
}

/** The dark modules as rectangles, one for each run in a row. */
function runsIn(code: Bitmap2D): string[] {
  const runs: string[] = []
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) {
      let width = 0
      while (code.get(x + width, y)) width++
      if (width > 0) runs.push(`M${x + MARGIN} ${y + MARGIN}h${width}v1h-${width}z`)
      x += width
    }
  }
  return runs
}
