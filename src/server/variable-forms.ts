import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import * as z from 'zod/mini'
import { parseIp } from './limits/ip.ts'

/** The forms that the values of environment variables have. */

export interface Variable<T> {
  readonly default: string
  /** The form of a right value, for the error and docs/operate.md. */
  readonly form: string
  readonly schema: z.ZodMiniType<T, string>
  /** Reports in what way a wrong value is wrong, where that is not plain from the form. Never repeats the value. */
  readonly hint?: (value: string) => string | undefined
  /** Reports what is wrong with a value of the right form. */
  readonly excess?: ((value: string) => string | undefined) | undefined
  /** Its value is never shown. */
  readonly secret?: true
}

export function integer(fallback: number, min: number, max: number): Variable<number> {
  const number = z.number().check(z.minimum(min), z.maximum(max))
  return {
    default: String(fallback),
    form: `a whole number from ${min} to ${max}`,
    schema: z.pipe(z.pipe(z.string().check(z.regex(/^\d{1,15}$/)), z.transform(Number)), number),
  }
}

/** The same, or nothing. */
export function optional<T>({ form, schema }: Variable<T>): Variable<T | undefined> {
  const nothing = z.pipe(
    z.literal(''),
    z.transform(() => undefined),
  )
  return { default: '', form, schema: z.union([nothing, schema]) as z.ZodMiniType<T | undefined, string> }
}

export function text(fallback: string, form: string, pattern: RegExp): Variable<string> {
  return { default: fallback, form, schema: z.string().check(z.regex(pattern)) }
}

export function onOff(fallback: 'on' | 'off'): Variable<boolean> {
  const schema = z.pipe(
    z.string().check(z.regex(/^(on|off)$/)),
    z.transform((value) => value === 'on'),
  )
  return { default: fallback, form: 'on or off', schema }
}

/** Values separated by commas, with spaces around them or without. */
export function list(
  form: string,
  isItem: (item: string) => boolean,
  excess?: Variable<unknown>['excess'],
): Variable<readonly string[]> {
  const items = z.pipe(
    z.string(),
    z.transform((value) => (value === '' ? [] : value.split(',').map((item) => item.trim()))),
  )
  return {
    default: '',
    form: `${form}, separated by commas`,
    excess,
    schema: z.pipe(
      items,
      z.array(z.string()).check(z.refine((all) => all.every(isItem) && (all.length === 1 || !all.includes('*')))),
    ),
  }
}

/** Words on one line for people to read. Empty for none. */
export function line(max: number, form: string): Variable<string> {
  return {
    default: '',
    form: `${form}, up to ${max} characters on one line`,
    schema: z.string().check(z.regex(/^[^\p{Cc}\p{Zl}\p{Zp}]*$/u), z.maxLength(max)),
  }
}

/** A link of an operator, with the text to click. */
export interface NamedLink {
  readonly text: string
  readonly url: string
}

/** Links with their texts, such as `Imprint=https://relay.example/imprint`. */
export function links(max: number, form: string): Variable<readonly NamedLink[]> {
  const items = z.pipe(
    z.string(),
    z.transform((value) => (value === '' ? [] : value.split(',').map(linkOf))),
  )
  const link = z.object({
    text: z.string().check(z.regex(/^[^\p{Cc}]{1,40}$/u)),
    url: z.string().check(z.refine(isWebAddress)),
  })
  return {
    default: '',
    form: `up to ${max} links such as ${form}, separated by commas`,
    schema: z.pipe(items, z.array(link).check(z.maxLength(max))),
  }
}

function linkOf(item: string): NamedLink {
  const [text = '', ...rest] = item.split('=')
  return { text: text.trim(), url: rest.join('=').trim() }
}

function isWebAddress(url: string): boolean {
  return /^https?:\/\/[^\s/]/.test(url) && URL.canParse(url)
}

/** A file's path. Empty for none. */
export function path(form: string): Variable<string> {
  return text('', form, /^\P{Cc}*$/u)
}

/** `*`, or an origin as a browser sends it; a slash at its end is forgiven. */
export function isOrigin(item: string): boolean {
  return item === '*' || item === 'null' || (/^https?:\/\/[^\s,/?#@]+\/?$/.test(item) && URL.canParse(item))
}

/** `*`, or the name of a host without a port. */
export function isHostName(item: string): boolean {
  return item === '*' || /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(item) || isIP(item) !== 0
}

/** The shortest prefix of a network that somebody may have to themselves, for IPv4 and IPv6. */
const WIDEST = { ipv4: 8, ipv6: 7 }

/** An address, or a network in CIDR notation that is not too wide. */
export function isNetwork(item: string): boolean {
  const prefix = prefixOf(item)
  return prefix !== undefined && prefix.bits >= WIDEST[prefix.kind]
}

export function tooWide(value: string): string | undefined {
  const prefixes = value.split(',').map((item) => prefixOf(item.trim()))
  if (!prefixes.some((each) => each && each.bits < WIDEST[each.kind])) return undefined
  return `has a network that is too wide to be anybody's own: /${WIDEST.ipv4} is the widest, of IPv6 /${WIDEST.ipv6}`
}

/** The length of the prefix of an address (all of it) or network; undefined for what is neither. */
function prefixOf(item: string): { readonly kind: 'ipv4' | 'ipv6'; readonly bits: number } | undefined {
  const [address = '', prefix, ...rest] = item.split('/')
  const parsed = parseIp(address)
  if (!parsed || rest.length > 0) return undefined
  const kind = parsed.kind()
  const most = kind === 'ipv4' ? 32 : 128
  if (prefix === undefined) return { kind, bits: most }
  // As IPv6, a network of IPv4 has a prefix that means another.
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) return undefined
  return /^(0|[1-9]\d{0,2})$/.test(prefix) && Number(prefix) <= most ? { kind, bits: Number(prefix) } : undefined
}

export const redisUrl: Variable<string> = {
  default: '',
  form: 'a URL such as redis://:password@host:6379 or rediss://host:6379',
  schema: z.string().check(
    z.regex(/^(rediss?:\/\/[^\s/?#]+(\/\d*)?)?$/),
    z.refine((url) => url === '' || (URL.canParse(url) && isOneServer(new URL(url)) && isDecodable(new URL(url)))),
  ),
  hint: (url) => {
    if (/^(\/|unix|redis[+-](unix|socket):|rediss?:\/\/([^/]*@)?(\/|%2f))/i.test(url))
      return 'a unix socket is not supported'
    if (/sentinel|,/.test(url.replace(/:\/\/.*@/, '://')))
      return 'Sentinel is not supported, nor is a list: name one server'
    if (/^rediss?:\/\//.test(url))
      return 'in a user or password each of / # ? @ : % and space is percent-encoded, such as %2F for /'
    return undefined
  },
  secret: true,
}

/** The host is a name or an address, and neither a list nor a path with percent signs. */
function isOneServer({ hostname }: URL): boolean {
  return !/[,%]/.test(hostname)
}

/** User and password are what they stand for once their percent signs are resolved. */
function isDecodable({ username, password }: URL): boolean {
  try {
    decodeURIComponent(username + password)
    return true
  } catch {
    return false
  }
}

/** The predicate of an error about a value, with the value itself unless it is a secret, and what around it nobody can see. */
export function wrongValue({ form, hint, excess, secret }: Variable<unknown>, value: string): string {
  const notes = [
    /^\s|\s$/.test(value) ? 'white space around it' : undefined,
    /^(['"]).*\1$/s.test(value.trim()) ? 'quotes around it' : undefined,
    hint?.(value),
  ].filter((note) => note !== undefined)
  const shown = secret ? [] : [escaped(value)]
  return [excess?.(value) ?? `is not ${form}`, ...shown, ...notes].join('; ')
}

/** A value in quotes on one line, with what cannot be seen escaped, and no longer than a line. */
function escaped(value: string): string {
  const cut = value.length > 100 ? `${value.slice(0, 100)}…` : value
  const hex = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `it is ${JSON.stringify(cut).replace(/[^\x20-\x7e…]/g, hex)}`
}
