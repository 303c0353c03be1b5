import { once } from 'node:events'
import { PairingError } from 'pairlay'
import { checkedEntry, checkedVersion, isNewer } from './vault.mjs'

/**
 * Two vaults are kept in step by their state, never by a list of what was said:
 *
 * - `summary` asks which versions the other device has, after a name. The answer is a page of them, the last one empty.
 * - `changes` has entries that the other device lacks. It is answered when they are on that device's disk.
 *
 * Both devices do the same. Whatever a cut has swallowed is still a difference, so it goes over again, and merging it
 * twice does nothing.
 *
 * @typedef {import('pairlay').PairedDevice} PairedDevice
 * @typedef {import('./vault.mjs').Vault} Vault
 * @typedef {import('./vault.mjs').Version} Version
 * @typedef {Map<string, Version>} Known Versions that the other device has on its disk, by name.
 */

/** Bounds that keep each post below 1 MiB. */
const VERSIONS_MAX = 1_000
const ENTRIES_MAX = 100

/**
 * Keeps a vault in step with that of a paired device until one of them says goodbye. Throws what ended the pairing, or what
 * is wrong with the other device's words: end the pairing then.
 * @param {PairedDevice} device one that takes posts, as this side has to
 * @param {Vault} vault
 * @param {(count: number) => void} onWaiting called with how many entries the other device has not confirmed
 */
export async function keepInStep(device, vault, onWaiting = () => {}) {
  /** @type {Known} */
  const known = new Map()
  const over = new AbortController()
  const answering = answer(device, vault, known).finally(() => over.abort())
  await Promise.all([answering, push(device, vault, known, onWaiting, over.signal)].map(untilGoodbye))
}

/** Answers the other device. It sends nothing else: the other one may wait for an answer itself. */
async function answer(/** @type {PairedDevice} */ device, /** @type {Vault} */ vault, /** @type {Known} */ known) {
  for await (const post of device.posts()) {
    if (post.type === 'summary') {
      const after = decode(post.bytes)
      const versions = vault.entries.filter(({ name }) => name > after).slice(0, VERSIONS_MAX)
      await post.reply(encode(versions.map(({ name, clock, device }) => ({ name, clock, device }))))
    } else if (post.type === 'changes') {
      const changes = decode(post.bytes).map(checkedEntry)
      await vault.merge(changes)
      note(known, changes)
      await post.reply(new Uint8Array())
    }
  }
}

/**
 * Sends what the other device lacks, now and after each change.
 * @param {PairedDevice} device
 * @param {Vault} vault
 * @param {Known} known
 * @param {(count: number) => void} onWaiting
 * @param {AbortSignal} signal
 */
async function push(device, vault, known, onWaiting, signal) {
  for (let after = ''; ; ) {
    const { bytes } = await device.ask(encode(after), { type: 'summary' })
    const versions = decode(bytes).map(checkedVersion)
    note(known, versions)
    if (versions.length === 0) break
    after = versions.at(-1).name
  }
  while (!signal.aborted) {
    const waiting = vault.entries.filter((entry) => isNewer(entry, known.get(entry.name)))
    onWaiting(waiting.length)
    if (waiting.length === 0) {
      await once(vault, 'change', { signal }).catch(() => {})
      continue
    }
    const changes = waiting.slice(0, ENTRIES_MAX)
    await device.ask(encode(changes), { type: 'changes' })
    note(known, changes)
  }
}

/** The other device has these on its disk, or newer ones. */
function note(/** @type {Known} */ known, /** @type {readonly Version[]} */ versions) {
  for (const version of versions) if (isNewer(version, known.get(version.name))) known.set(version.name, version)
}

function untilGoodbye(/** @type {Promise<void>} */ work) {
  return work.catch((error) => {
    if (!(error instanceof PairingError) || error.code !== 'closing') throw error
  })
}

function encode(/** @type {unknown} */ value) {
  return new TextEncoder().encode(JSON.stringify(value))
}

/** @returns {any} */
function decode(/** @type {Uint8Array} */ bytes) {
  return JSON.parse(new TextDecoder().decode(bytes))
}
