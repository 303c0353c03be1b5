import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * State of a name at one time, and who wrote it. A deleted name keeps an entry without a value, so that no device that was
 * away brings it back.
 * @typedef {Version & { value: string | null }} Entry
 *
 * Clock of an entry: one more than any that its writer had seen.
 * @typedef {{ name: string, clock: number, device: string }} Version
 */

export const NAME_MAX = 100
export const VALUE_MAX = 1_000

/** Reports whether `a` takes the place of `b`. Every device says the same, in whichever order it gets them. */
export function isNewer(/** @type {Version} */ a, /** @type {Version | undefined} */ b) {
  return !b || a.clock > b.clock || (a.clock === b.clock && a.device > b.device)
}

/** Names and values in a file. Emits `change`. */
export class Vault extends EventEmitter {
  #path
  #device
  /** Entries as they are on the disk, by name: memory is never ahead of it. @type {Map<string, Entry>} */
  #entries = new Map()
  /** The newest change. Changes happen one after the other. @type {Promise<unknown>} */
  #turn = Promise.resolve()

  /** Opens the vault of a file, an empty one where there is none. Throws for a file that is no vault, and leaves it alone. */
  static async open(/** @type {string} */ path) {
    const text = await readFile(path, 'utf8').catch((error) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined) return new Vault(path, randomBytes(16).toString('base64url'), [])
    const { device, entries } = JSON.parse(text)
    return new Vault(path, device, entries.map(checkedEntry))
  }

  /** @private */
  constructor(/** @type {string} */ path, /** @type {string} */ device, /** @type {Entry[]} */ entries) {
    super()
    this.#path = path
    this.#device = device
    for (const entry of entries) this.#entries.set(entry.name, entry)
  }

  /** All entries by name, deleted ones too. */
  get entries() {
    return [...this.#entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  get(/** @type {string} */ name) {
    return this.#entries.get(name)?.value ?? undefined
  }

  /** Writes a value, or deletes it with null. Resolves with the entry when it is on the disk. */
  set(/** @type {string} */ name, /** @type {string | null} */ value) {
    return this.#next(async () => {
      const clock = 1 + Math.max(0, ...this.entries.map((entry) => entry.clock))
      const entry = checkedEntry({ name, value, clock, device: this.#device })
      await this.#take([entry])
      return entry
    })
  }

  /** Takes those of another device's entries that are newer. Resolves when they are on the disk. Harmless again, or late. */
  merge(/** @type {readonly Entry[]} */ entries) {
    return this.#next(() => this.#take(entries))
  }

  async #take(/** @type {readonly Entry[]} */ entries) {
    const merged = new Map(this.#entries)
    for (const entry of entries) if (isNewer(entry, merged.get(entry.name))) merged.set(entry.name, entry)
    if (entries.every(({ name }) => merged.get(name) === this.#entries.get(name))) return
    await replaceFile(this.#path, JSON.stringify({ device: this.#device, entries: [...merged.values()] }))
    this.#entries = merged
    this.emit('change')
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  #next(work) {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }
}

/** Returns the entry that a value from elsewhere is. Throws TypeError. */
export function checkedEntry(/** @type {any} */ value) {
  const isValue = value?.value === null || (typeof value?.value === 'string' && value.value.length <= VALUE_MAX)
  if (!isValue) throw new TypeError(`a value is a text of at most ${VALUE_MAX} characters`)
  return { ...checkedVersion(value), value: /** @type {string | null} */ (value.value) }
}

/** Returns the version that a value from elsewhere is. Throws TypeError. */
export function checkedVersion(/** @type {any} */ value) {
  const { name, clock, device } = Object(value)
  if (typeof name !== 'string' || name === '' || name.length > NAME_MAX)
    throw new TypeError(`a name is a text of 1 to ${NAME_MAX} characters`)
  if (!Number.isSafeInteger(clock) || clock < 1 || !/^[\w-]{22}$/.test(device))
    throw new TypeError('this is no version')
  return /** @type {Version} */ ({ name, clock, device })
}

/** Writes a file so that its path has the old content or the new one, whole, whenever the power fails. */
async function replaceFile(/** @type {string} */ path, /** @type {string} */ text) {
  const made = await open(`${path}.new`, 'w', 0o600)
  try {
    await made.writeFile(text)
    await made.sync()
  } finally {
    await made.close()
  }
  await rename(`${path}.new`, path)
  // Windows opens no folders, and needs not.
  if (process.platform === 'win32') return
  const folder = await open(dirname(path))
  await folder.sync().finally(() => folder.close())
}
