/** The device that shows a code: node first.mjs FILE [RELAY] */

import { cleanText, Sender } from 'pairlay'
import { say, terminal, work } from './terminal.mjs'
import { Vault } from './vault.mjs'

const [path, relay = 'http://127.0.0.1:8080'] = process.argv.slice(2)
if (!path) throw new Error('Name the file of the vault.')
const vault = await Vault.open(path)
// The longest that a relay grants unless its operator has it otherwise. After that the two pair again.
const sender = await Sender.open({ relay, takes: { posts: true }, ttlSeconds: 3_600 })
say(`Code: ${sender.code}`)
for await (const { name = 'the other device', deny } of sender.requests()) {
  // Typed, not confirmed: nobody can say yes without having looked.
  const number = await terminal.question(`Number that ${cleanText(name)} shows (none: refuse it): `)
  if (number.trim() === '') await deny()
  else await work(await sender.approveNumber(number), vault, () => sender.cancel())
}
await sender.cancel()
terminal.close()
