/** The device that enters the code: node second.mjs FILE CODE [RELAY] */

import { hostname } from 'node:os'
import { formatMatchNumber, Receiver } from 'pairlay'
import { say, terminal, work } from './terminal.mjs'
import { Vault } from './vault.mjs'

const [path, code, relay = 'http://127.0.0.1:8080'] = process.argv.slice(2)
if (!path || !code) throw new Error('Name the file of the vault, and the code.')
const vault = await Vault.open(path)
const receiver = await Receiver.join({ relay, code, name: hostname().slice(0, 63), takes: { posts: true } })
say(`Number: ${formatMatchNumber(await receiver.verified)}`)
await work(await receiver.approved, vault, () => receiver.close())
terminal.close()
