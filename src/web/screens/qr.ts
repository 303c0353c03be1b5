import encodeQR from 'qr'

/** Around the code, in modules. */
const MARGIN = 4
const SVG = 'http://www.w3.org/2000/svg'

/** A QR code as a picture: black on white in every theme, with four modules around it. */
export function qrPicture(text: string, label: string): SVGSVGElement {
  const modules = encodeQR(text, 'raw', { ecc: 'medium', border: MARGIN })
  const side = modules.length
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
  ink.setAttribute('d', modules.flatMap(runsOf).join(''))
  ink.setAttribute('fill', '#000')
  svg.append(paper, ink)
  return svg
}

/** A row of modules as rectangles, one for each run of dark ones. */
function runsOf(row: readonly boolean[], y: number): string[] {
  const runs: string[] = []
  for (let x = 0; x < row.length; x++) {
    if (!row[x] || row[x - 1]) continue
    let width = 1
    while (row[x + width]) width++
    runs.push(`M${x} ${y}h${width}v1h-${width}z`)
  }
  return runs
}
