/**
 * Forms that values of the other side must have: the part of zod that a client needs, for a tenth of its bytes in a browser.
 * A relay has zod schemas of the same forms, see `zod.ts`.
 */

/** A form as data, by the words of JSON. `holds` is what no word of JSON says. */
export type Rule =
  | (StringRule & { readonly is: 'string' })
  | { readonly is: 'word'; readonly words: readonly string[]; readonly otherwise: string; readonly max: number }
  | { readonly is: 'integer'; readonly min: number; readonly max: number | undefined }
  | { readonly is: 'boolean' }
  | { readonly is: 'literal'; readonly values: readonly (string | true)[] }
  | { readonly is: 'array'; readonly of: Form<unknown>; readonly max: number }
  | { readonly is: 'object'; readonly fields: Fields; readonly holds: ((value: never) => boolean) | undefined }
  | { readonly is: 'optional'; readonly of: Form<unknown> }

interface StringRule {
  /** The least and the most UTF-16 code units. */
  readonly min?: number
  readonly max?: number
  readonly pattern?: RegExp
  readonly holds?: (text: string) => boolean
}

export type Fields = Readonly<Record<string, Form<unknown>>>

export type ReadResult<T> =
  | { readonly success: true; readonly data: T }
  | { readonly success: false; readonly data?: undefined }

export interface Form<T> {
  readonly rule: Rule
  /** Reads a value. What an object has beside its documented fields is left out. */
  safeParse(value: unknown): ReadResult<T>
}

export interface ObjectForm<F> extends Form<ObjectOf<F>> {
  readonly fields: F
}

/** The type of the values of a form. */
export type Infer<F> = F extends Form<infer T> ? T : never

type OptionalKey<F> = { [K in keyof F]: undefined extends Infer<F[K]> ? K : never }[keyof F]
type Flat<T> = { [K in keyof T]: T[K] }
type ObjectOf<F> = Flat<
  { [K in Exclude<keyof F, OptionalKey<F>>]: Infer<F[K]> } & { [K in OptionalKey<F>]?: Infer<F[K]> }
>

const WRONG: unique symbol = Symbol()

function form<T>(rule: Rule, read: (value: unknown) => unknown): Form<T> {
  const safeParse = (value: unknown): ReadResult<T> => {
    const data = read(value)
    return data === WRONG ? { success: false } : { success: true, data: data as T }
  }
  return { rule, safeParse }
}

const only = (isRight: (value: never) => boolean) => (value: unknown) => (isRight(value as never) ? value : WRONG)

export function string(rule: StringRule = {}): Form<string> {
  const { min = 0, max = Number.POSITIVE_INFINITY, pattern = /^/, holds = () => true } = rule
  const isRight = (value: unknown) =>
    typeof value === 'string' && value.length >= min && value.length <= max && pattern.test(value) && holds(value)
  return form({ is: 'string', ...rule }, only(isRight))
}

/** A word of at most `max` characters. One that is not of `words` reads as `otherwise`. */
export function word<const Word extends string, const Other extends string>(
  words: readonly Word[],
  otherwise: Other,
  max: number,
): Form<Word | Other> {
  const known = (value: unknown) => words.find((each) => each === value) ?? otherwise
  return form({ is: 'word', words, otherwise, max }, (value) =>
    typeof value === 'string' && value.length <= max ? known(value) : WRONG,
  )
}

/** A whole number that JavaScript can count to. */
export function integer(min: number, max?: number): Form<number> {
  const isRight = (value: number) => Number.isSafeInteger(value) && value >= min && !(max !== undefined && value > max)
  return form({ is: 'integer', min, max }, only(isRight))
}

export function boolean(): Form<boolean> {
  return form(
    { is: 'boolean' },
    only((value) => typeof value === 'boolean'),
  )
}

export function literal<const Value extends string | true>(...values: readonly Value[]): Form<Value> {
  return form(
    { is: 'literal', values },
    only((value: Value) => values.includes(value)),
  )
}

export function array<T>(of: Form<T>, max: number): Form<T[]> {
  return form({ is: 'array', of, max }, (value) => {
    if (!Array.isArray(value) || value.length > max) return WRONG
    const read = value.map((each) => of.safeParse(each))
    return read.every(({ success }) => success) ? read.map(({ data }) => data) : WRONG
  })
}

/** An object with these fields, of which `holds` says what is true of several together. */
export function object<F extends Fields>(fields: F, holds?: (value: ObjectOf<F>) => boolean): ObjectForm<F> {
  const read = (value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return WRONG
    const all: Record<string, unknown> = {}
    for (const [name, field] of Object.entries(fields)) {
      const { success, data } = field.safeParse((value as Record<string, unknown>)[name])
      if (!success) return WRONG
      if (data !== undefined) all[name] = data
    }
    return holds?.(all as ObjectOf<F>) === false ? WRONG : all
  }
  return { ...form<ObjectOf<F>>({ is: 'object', fields, holds }, read), fields }
}

export function optional<T>(of: Form<T>): Form<T | undefined> {
  return form({ is: 'optional', of }, (value) => {
    if (value === undefined) return value
    const { success, data } = of.safeParse(value)
    return success ? data : WRONG
  })
}
