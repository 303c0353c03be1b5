/** Events of `--json`, one object a line, with their fields. docs/cli.md prints this table; a test holds the two together. */
export const EVENTS = {
  code: ['code', 'link', 'expiresInMs'],
  connection: ['status'],
  fallback: [],
  small_frames: ['maxBytes'],
  busy: ['who'],
  rejoined: [],
  plain_http: ['relay'],
  failed_attempt: ['wrongCode', 'timedOut', 'invalid'],
  waiting: ['unproven'],
  used_up: [],
  request: ['matchNumber', 'receiverCode', 'name', 'fingerprint', 'verified'],
  number: ['matchNumber', 'fingerprint'],
  question: ['kind', 'text'],
  approved: ['matchNumber'],
  not_approved: ['code'],
  denied: [],
  left: ['matchNumber'],
  left_out: ['path', 'why'],
  offer: ['items', 'totalBytes'],
  withdrawn: ['code'],
  answer: ['matchNumber', 'hasBytes'],
  checking: ['matchNumber', 'bytes', 'totalBytes'],
  resumed: ['bytes'],
  presence: ['matchNumber', 'present'],
  progress: ['matchNumber', 'bytes', 'totalBytes', 'bytesPerSecond', 'leftMs'],
  too_slow: ['leftMs', 'expiresInMs'],
  stalled: ['matchNumber', 'ms'],
  skipped: ['path', 'reason'],
  delivered: ['matchNumber', 'bytes', 'ms', 'skipped'],
  not_delivered: ['matchNumber', 'code'],
  renamed: ['path', 'was'],
  saved: ['path', 'was'],
  text: ['text'],
  kept: ['path', 'bytes'],
  received: ['bytes', 'ms', 'confirmed'],
  not_received: ['code', 'message'],
  interrupted: [],
  error: ['code', 'message'],
} as const

/** Kinds of `question`. */
export const QUESTIONS = ['code', 'relay', 'text', 'approve', 'number', 'more', 'name', 'accept'] as const

export type EventName = keyof typeof EVENTS
export type EventFields<E extends EventName> = Readonly<Record<(typeof EVENTS)[E][number], unknown>>
export type QuestionKind = (typeof QUESTIONS)[number]

/** Reasons to show a line: nobody can do without it, a person has to know it to answer, or it is news. --quiet leaves out news. */
export type Need = 'always' | 'answer' | 'news'

const NEEDS: Partial<Record<EventName, Need>> = {
  plain_http: 'always',
  failed_attempt: 'answer',
  used_up: 'always',
  request: 'answer',
  number: 'always',
  left: 'answer',
  left_out: 'always',
  offer: 'answer',
  withdrawn: 'always',
  skipped: 'always',
  not_delivered: 'always',
  kept: 'always',
  not_received: 'always',
}

export function needOf(event: EventName): Need {
  return NEEDS[event] ?? 'news'
}

/** Prints an event. */
export function writeEvent<E extends EventName>(event: E, fields: EventFields<E>): void {
  process.stdout.write(`${harmlessJson({ event, ...fields })}\n`)
}

/** JSON that no terminal obeys: JSON itself lets some control characters through, and all that turn a line around. */
function harmlessJson(value: unknown): string {
  const escaped = (text: string) =>
    Array.from({ length: text.length }, (_, i) => `\\u${text.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')
  return JSON.stringify(value).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
}
