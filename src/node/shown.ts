/** Text from elsewhere as it may be shown or used: what a terminal would obey, and what nobody would see, is not in it. */

/** Ends a line, moves the cursor, turns the direction of writing, or is no character: a space stands for it. */
const HARMFUL = String.raw`\p{Cc}\p{Cs}\p{Zl}\p{Zp}\p{Noncharacter_Code_Point}\u200b\u202a-\u202e\u2066-\u206f\ufff9-\ufffb`
const HARMFUL_RUN = new RegExp(`[\\s${HARMFUL}]*[${HARMFUL}][\\s${HARMFUL}]*`, 'gu')

/** A flag made of tag characters, such as that of Scotland. */
const TAGGED_FLAG = String.raw`\u{1f3f4}[\u{e0020}-\u{e007e}]{1,16}\u{e007f}`
/** A joiner between two letters of a script that has joiners, behind a mark, or between two parts of an emoji. */
const GLUED = String.raw`[\p{L}\p{M}\p{N}\p{Extended_Pictographic}]`
const JOINER =
  String.raw`(?<![A-Za-z0-9](?=.[A-Za-z0-9]))(?<=${GLUED}|\p{Emoji_Modifier})[\u200c\u200d](?=${GLUED})` +
  String.raw`|(?<=\p{M})[\u200c\u200d]`
/** A variation selector behind something that is seen, and that has variants. */
const VARIANT = String.raw`(?<=[^\p{Default_Ignorable_Code_Point}\s\u2800A-Za-z])[\ufe00-\ufe0f\u{e0100}-\u{e01ef}\u180b-\u180d\u180f]`
const UNSEEN = new RegExp(`(${TAGGED_FLAG}|${JOINER}|${VARIANT})|\\p{Default_Ignorable_Code_Point}`, 'gu')

/**
 * A name or another short text for one line: what is harmful becomes a space, what is invisible goes unless a script or an
 * emoji needs it, and everything else stays, runs of spaces included. It is normalised (NFC).
 */
export function shown(text: string): string {
  const clean = text
    .replaceAll(HARMFUL_RUN, ' ')
    .replaceAll(UNSEEN, (_, needed: string | undefined) => needed ?? '')
    .normalize('NFC')
    .trim()
  // A joiner beside something that has gone may be needed no more.
  return clean === text ? clean : shown(clean)
}

/** Control characters, and what overrides the direction of writing. */
const OBEYED = /[\p{Cc}\u202a-\u202e\u2066-\u206f]/gu

/**
 * A text for a terminal: exactly as it is, but that what a terminal would obey is a visible mark. `kept` control characters
 * stay: those of a text of many lines, unless it is to stand in one.
 */
export function shownText(text: string, kept = '\t\n'): string {
  return text.replaceAll('\r\n', '\n').replaceAll(OBEYED, (character) => {
    const code = character.codePointAt(0) ?? 0
    if (kept.includes(character)) return character
    if (code < 0x20) return String.fromCodePoint(0x2400 + code)
    return code === 0x7f ? '\u2421' : marked(character)
  })
}

/** A blank at the beginning or the end of a name. */
const BLANK_AT_END = /(?<![^/])\s+|\s+(?![^/])/gu

/** The name of a peer for one line, exactly: a visible mark stands also for what nobody sees of it, such as blanks at its ends. */
export function shownName(name: string): string {
  return shownText(name, '')
    .replaceAll(UNSEEN, (character, needed: string | undefined) => needed ?? marked(character))
    .replaceAll(BLANK_AT_END, (blanks) =>
      [...blanks].map((blank) => (blank === ' ' ? '\u2420' : marked(blank))).join(''),
    )
}

function marked(character: string): string {
  return `<U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`
}

/** A digit in any script or dress. Three of them, close together, could be taken for a match number. */
const DIGITS = /\p{N}(?:[^\p{L}\p{N}]{0,3}\p{N}){2,}/gu
const QUOTES = /["\u00ab\u00bb\u201c-\u201f\u2033\u2036\u2039\u203a\u275d\u275e\u300c-\u300f\u301d-\u301f\uff02]/gu

/** Returns a device's own name, for a line of its own: it can neither end a quotation nor look like a match number. */
export function shownDevice(name: string): string {
  const characters = [
    ...shown(name.normalize('NFKC'))
      .replaceAll(QUOTES, "'")
      .replaceAll(DIGITS, (digits) => digits.replaceAll(/\p{N}/gu, '#')),
  ]
  return characters.length <= 64 ? characters.join('') : `${characters.slice(0, 63).join('')}…`
}
