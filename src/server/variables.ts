import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import * as z from 'zod/mini'
import { parseIp } from './limits/ip.ts'

/** The forms that the values of environment variables have. */

export interface Variable<T> {
  readonly default: string
  /** The form of a right value, for the error and the README. */
  readonly form: string
  readonly schema: z.ZodMiniType<T, string>
  /** Reports in what way a wrong value is wrong, where that is not plain from the form. Never repeats the value. */
  readonly hint?: (value: string) => string | undefined
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
export function list(form: string, isItem: (item: string) => boolean): Variable<readonly string[]> {
  const items = z.pipe(
    z.string(),
    z.transform((value) => (value === '' ? [] : value.split(',').map((item) => item.trim()))),
  )
  return {
    default: '',
    form: `${form}, separated by commas`,
    schema: z.pipe(
      items,
      z.array(z.string()).check(z.refine((all) => all.every(isItem) && (all.length === 1 || !all.includes('*')))),
    ),
  }
}

/** A file's path. Empty for none. */
export function path(form: string): Variable<string> {
  return text('', form, /^\P{Cc}*$/u)
}

/** `*`, or an origin as a browser sends it; a slash at its end is forgiven. */
export function isOrigin(item: string): boolean {
  return item === '*' || (/^https?:\/\/[^\s,/?#@]+\/?$/.test(item) && URL.canParse(item))
}

/** `*`, or the name of a host without a port. */
export function isHostName(item: string): boolean {
  return item === '*' || /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(item) || isIP(item) !== 0
}

/**
 * An address, or a network in CIDR notation that somebody may have to themselves. In one of everybody, or of half of
 * them, any client could say where it comes from.
 */
export function isNetwork(item: string): boolean {
  const [address = '', prefix, ...rest] = item.split('/')
  const parsed = parseIp(address)
  if (!parsed || rest.length > 0) return false
  // As IPv6, one of IPv4 has a prefix that says something else.
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) return prefix === undefined
  if (prefix === undefined) return true
  const [widest, narrowest] = parsed instanceof ipaddr.IPv4 ? [8, 32] : [7, 128]
  return /^[1-9]\d{0,2}$/.test(prefix) && Number(prefix) >= widest && Number(prefix) <= narrowest
}

export const redisUrl: Variable<string> = {
  default: '',
  form: 'a URL such as redis://:password@host:6379 or rediss://host:6379',
  schema: z.string().check(
    z.regex(/^(rediss?:\/\/[^\s/]+(\/\d*)?)?$/),
    z.refine((url) => url === '' || (URL.canParse(url) && isDecodable(new URL(url)))),
  ),
  hint: (url) => {
    if (/^(\/|unix:|redis\+(unix|socket):|rediss?:\/\/\/)/.test(url)) return 'a unix socket is not supported'
    if (/sentinel/.test(url.split('@').at(-1) ?? '')) return 'Sentinel is not supported: name one server'
    if (/^rediss?:\/\//.test(url))
      return 'in a user or password each of / # ? @ : % and space is percent-encoded, such as %2F for /'
    return undefined
  },
  secret: true,
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

/** The end of an error about a value: the value itself unless it is a secret, and what around it nobody can see. */
export function wrongValue({ hint, secret }: Variable<unknown>, value: string): string {
  const notes = [
    /^\s|\s$/.test(value) ? 'white space around it' : undefined,
    /^(['"]).*\1$/s.test(value.trim()) ? 'quotes around it' : undefined,
    hint?.(value),
  ].filter((note) => note !== undefined)
  const shown = secret ? [] : [escaped(value)]
  return [...shown, ...notes].map((part) => `; ${part}`).join('')
}

/** A value in quotes on one line, with what cannot be seen escaped, and no longer than a line. */
function escaped(value: string): string {
  const cut = value.length > 100 ? `${value.slice(0, 100)}…` : value
  const hex = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `it is ${JSON.stringify(cut).replace(/[^\x20-\x7e…]/g, hex)}`
}
