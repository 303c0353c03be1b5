import { cleanText } from '../client/index.ts'

/** Sizes, rates, times and names for people, in the language of the browser. */

const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const

function amount(value: number, unit: string, digits: number): string {
  const style = { style: 'unit', unit, unitDisplay: unit === 'byte' ? 'long' : 'short' } as const
  return new Intl.NumberFormat(undefined, { ...style, maximumFractionDigits: digits }).format(value)
}

/** "268 MB", with three digits at most. */
export function size(bytes: number): string {
  let step = 0
  let value = bytes
  while (value >= 999.5 && step < UNITS.length - 1) {
    value /= 1000
    step++
  }
  return amount(value, UNITS[step] ?? 'byte', step === 0 || value >= 100 ? 0 : 1)
}

/** "0:07", "12:30", "1:02:03". */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000))
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const two = (part: number) => String(part).padStart(2, '0')
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`
}

/** A number of things. */
export function count(value: number): string {
  return new Intl.NumberFormat().format(value)
}

/** "45 %" */
export function percent(part: number, whole: number): string {
  return new Intl.NumberFormat(undefined, { style: 'percent' }).format(whole === 0 ? 1 : part / whole)
}

/** The time of day, such as "14:32", of a point in time of the system's clock. */
export function timeOfDay(at: number): string {
  return new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' }).format(at)
}

const DEVICE_NAME_MAX = 40

/** Cleans a device's own name of all that could pass for its number. Undefined where nothing is left. */
export function shownName(name: string | undefined): string | undefined {
  const shown = cleanText((name ?? '').replaceAll(/\p{Nd}[\p{Nd}\s.-]*\p{Nd}[\s.-]*\p{Nd}/gu, '…'), DEVICE_NAME_MAX)
  return shown === '' ? undefined : shown
}

/** "482 913" */
export function spaced(number: string): string {
  return `${number.slice(0, 3)}\u2009${number.slice(3)}`
}
