// examples/app/pairing.mjs: the same for a page, Electron and Node
import { cleanText, formatMatchNumber, Receiver, Sender } from 'pairlay'

/**
 * @typedef {object} Ui
 * @property {(text: string) => void} say tells the person something
 * @property {(question: string) => Promise<string>} ask resolves with what the person typed: nothing is a no
 * @typedef {{ environment?: Partial<import('pairlay').Environment> }} Options of a test
 */

const takes = { posts: true }

/** Shows a code. Resolves with the other device once the person has typed the number that it shows. */
export async function invite(/** @type {string} */ relay, /** @type {Ui} */ ui, /** @type {Options} */ options = {}) {
  const sender = await Sender.open({ relay, takes, ...options })
  ui.say(`Code: ${sender.code}`)
  for await (const request of sender.requests()) {
    const number = await ui.ask('Number that the other device shows')
    if (number.trim() !== '') return sender.approveNumber(number)
    await request.deny()
  }
  throw new Error('No device was let in.')
}

/** Joins with the code that the person has typed. Resolves with the other device once its person has agreed. */
export async function enter(
  /** @type {string} */ relay,
  /** @type {string} */ code,
  /** @type {Ui} */ ui,
  /** @type {Options} */ options = {},
) {
  const receiver = await Receiver.join({ relay, code, takes, ...options })
  ui.say(`Number: ${formatMatchNumber(await receiver.verified)}`)
  return receiver.approved
}

/** Hands a text over. Resolves when the other device has it. */
export async function tell(/** @type {import('pairlay').PairedDevice} */ device, /** @type {string} */ text) {
  await device.post(new TextEncoder().encode(text), { type: 'text' })
}

/** Shows each text that comes, until the other device says goodbye. Throws PairingError for any other end. */
export async function listen(/** @type {import('pairlay').PairedDevice} */ device, /** @type {Ui} */ ui) {
  for await (const post of device.posts()) {
    // From the other device: never markup, a path or a command, and cleaned before it is shown.
    if (post.type === 'text') ui.say(`It says: ${cleanText(new TextDecoder().decode(post.bytes))}`)
  }
}
