// examples/app/terminal.mjs: node terminal.mjs RELAY, and on the other device node terminal.mjs RELAY CODE
import { createInterface } from 'node:readline/promises'
import { enter, invite, listen, tell } from './pairing.mjs'

const [relay = '', code] = process.argv.slice(2)
const terminal = createInterface(process.stdin, process.stdout)
const ui = {
  say: (/** @type {string} */ text) => console.log(text),
  ask: (/** @type {string} */ question) => terminal.question(`${question}: `),
}

const device = code ? await enter(relay, code, ui) : await invite(relay, ui)
ui.say('Paired. Each line goes over.')
terminal.on('line', (line) => tell(device, line).catch((error) => ui.say(error.message)))
terminal.once('close', () => device.close())
await listen(device, ui).catch((error) => ui.say(error.message))
terminal.close()
process.exit()
