/**
 * Makes a string from a peer, a relay or a file fit to be shown: control, escape, bidi and invisible characters go, runs
 * of spaces become one, and it is cut to `maxLength` characters.
 */
export function cleanText(text: string, maxLength = 200): string {
  const visible = text
    .normalize('NFC')
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, ' ')
    .replaceAll(/\s+/gu, ' ')
    .trim()
  const characters = [...visible]
  return characters.length <= maxLength ? visible : `${characters.slice(0, maxLength - 1).join('')}…`
}
