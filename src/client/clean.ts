/** Scripts whose letters are written otherwise when a joiner stands between them. */
const JOINING =
  '\\p{Script=Arab}\\p{Script=Syrc}\\p{Script=Mong}\\p{Script=Nkoo}\\p{Script=Mand}\\p{Script=Deva}\\p{Script=Beng}' +
  '\\p{Script=Guru}\\p{Script=Gujr}\\p{Script=Orya}\\p{Script=Taml}\\p{Script=Telu}\\p{Script=Knda}\\p{Script=Mlym}' +
  '\\p{Script=Sinh}\\p{Script=Mymr}\\p{Script=Khmr}\\p{Script=Tibt}\\p{M}'

/** Joiners that belong where they are: between such letters, and inside an emoji. */
const KEPT = new RegExp(
  `(?<=[${JOINING}])[\\u200c\\u200d](?=[${JOINING}])|` +
    '(?<=[\\p{Extended_Pictographic}\\p{Emoji_Modifier}\\ufe0f])\\u200d(?=\\p{Extended_Pictographic})|' +
    '(?<=[\\p{Extended_Pictographic}0-9#*])[\\ufe0e\\ufe0f]',
  'gu',
)
/** Stand-ins for what is kept, from an area that is cut out before. */
const STAND_INS = ['\ue000', '\ue001', '\ue002', '\ue003']
const ORIGINALS = ['\u200c', '\u200d', '\ufe0e', '\ufe0f']

/** Control, escape, bidi and private characters, halves of pairs, and letters that show as nothing. */
const INVISIBLE =
  /\p{Variation_Selector}|\u034f|[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Zl}\p{Zp}\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0]/gu

/**
 * Replaces what nobody sees in a string from a peer, a relay or a file, or what a terminal obeys, with one space each.
 * Joiners stay where a script or an emoji needs them. Spaces stay as they are.
 */
export function withoutInvisible(text: string): string {
  return text
    .replaceAll(/\p{Co}/gu, ' ')
    .replaceAll(KEPT, (kept) => STAND_INS[ORIGINALS.indexOf(kept)] ?? ' ')
    .replaceAll(INVISIBLE, ' ')
    .replaceAll(/[\ue000-\ue003]/gu, (standIn) => ORIGINALS[STAND_INS.indexOf(standIn)] ?? ' ')
}

/** `withoutInvisible` for a line that is shown: runs of spaces become one, and it is cut to `maxLength` characters. */
export function cleanText(text: string, maxLength = 200): string {
  const visible = withoutInvisible(text.normalize('NFC')).replaceAll(/\s+/gu, ' ').trim()
  const characters = [...visible]
  return characters.length <= maxLength ? visible : `${characters.slice(0, maxLength - 1).join('')}…`
}
