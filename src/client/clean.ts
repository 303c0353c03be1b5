/** A letter of a script that may be written otherwise with a joiner behind it. */
const LETTER = '(?![\\p{sc=Latn}\\p{sc=Grek}\\p{sc=Cyrl}\\p{sc=Hani}])[\\p{L}\\p{M}]'

/**
 * Control, escape, bidi and private characters, halves of pairs, and letters that show as nothing. In the group, those that
 * belong where they are: joiners between such letters and in an emoji, selectors of how an emoji is drawn.
 */
const INVISIBLE = new RegExp(
  `((?<=${LETTER})[\\u200c\\u200d](?=${LETTER})|(?<=[\\p{ExtPict}\\p{EMod}\\ufe0f])\\u200d(?=\\p{ExtPict})|` +
    '(?<=[\\p{ExtPict}0-9#*])[\\ufe0e\\ufe0f])|' +
    '\\p{VS}|[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Cn}\\p{Zl}\\p{Zp}\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u2800\\u3164\\uffa0]',
  'gu',
)

/**
 * Replaces what nobody sees in a string from a peer, a relay or a file, or what a terminal obeys, with one space each.
 * Joiners stay where a script or an emoji needs them. Spaces stay as they are.
 */
export function withoutInvisible(text: string): string {
  return text.replaceAll(INVISIBLE, (_, kept) => kept ?? ' ')
}

/** `withoutInvisible` for a line that is shown: runs of spaces become one, and it is cut to `maxLength` characters. */
export function cleanText(text: string, maxLength = 200): string {
  const visible = withoutInvisible(text.normalize('NFC')).replaceAll(/\s+/gu, ' ').trim()
  const characters = [...visible]
  return characters.length <= maxLength ? visible : `${characters.slice(0, maxLength - 1).join('')}…`
}
