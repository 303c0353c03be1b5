import { createInterface } from 'node:readline/promises'
import { cleanText } from 'pairlay'
import { keepInStep } from './in-step.mjs'

/** The terminal of both programs. */
export const terminal = createInterface({ input: process.stdin, output: process.stdout })

const HELP = 'set NAME VALUE, delete NAME, list, quit'

/**
 * Keeps the vault in step with a paired device, and lets a person edit it, until `quit`. When the connection is over for
 * good, editing goes on: the next pairing carries it over.
 * @param {import('pairlay').PairedDevice} device
 * @param {import('./vault.mjs').Vault} vault
 * @param {() => Promise<void>} leave ends the session
 */
export async function work(device, vault, leave) {
  let shown = -1
  const onWaiting = (/** @type {number} */ count) => {
    if (count !== shown) say(count === 0 ? 'In step.' : `Not there yet: ${count}`)
    shown = count
  }
  const ended = keepInStep(device, vault, onWaiting).then(
    () => say('The other device said goodbye.'),
    (error) => {
      say(`Not in step any more: ${error.message} Edit on, and pair again.`)
      return leave()
    },
  )
  say(`Paired. ${HELP}`)
  for await (const line of terminal) {
    if (line.trim() === 'quit') break
    await obey(vault, line).catch((error) => say(error.message))
  }
  if (!device.isOver) await device.close().catch((error) => say(error.message))
  await ended
  await leave()
}

async function obey(/** @type {import('./vault.mjs').Vault} */ vault, /** @type {string} */ line) {
  const [command, name = '', ...rest] = line.trim().split(/\s+/)
  if (command === 'set') await vault.set(name, rest.join(' '))
  else if (command === 'delete') await vault.set(name, null)
  else if (command !== 'list') return say(HELP)
  // Names and values may be the other device's words: nothing in them may move the cursor.
  for (const { name, value } of vault.entries) if (value !== null) say(`${cleanText(name)} = ${cleanText(value)}`)
}

export function say(/** @type {string} */ text) {
  console.log(text)
}
