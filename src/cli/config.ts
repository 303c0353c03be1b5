import { resolve } from 'node:path'
import { relayUrl } from '../client/index.ts'
import { shown } from '../node/shown.ts'
import { tokenIn } from './access-token.ts'
import { CliError, EXIT } from './exit.ts'
import { relayAddress, warnOfPlainHttp } from './relay.ts'
import { readSettings, type Settings, writeSettings } from './settings.ts'
import { Terminal } from './terminal.ts'

export interface ConfigOptions {
  readonly unset?: boolean
}

/** `pairlay config`: shows, sets or removes settings, and resolves with the exit code. Throws CliError. */
export async function config(
  name: keyof Settings | undefined,
  value: string | undefined,
  { unset }: ConfigOptions,
): Promise<number> {
  const terminal = new Terminal({ json: false, stdinIsData: false })
  try {
    return await change(name, value, unset === true, terminal)
  } finally {
    terminal.close()
  }
}

async function change(
  name: keyof Settings | undefined,
  value: string | undefined,
  unset: boolean,
  terminal: Terminal,
): Promise<number> {
  const settings = readSettings()
  if (unset) {
    if (name === undefined) throw new CliError('Name the setting to remove: pairlay config --unset relay', 'usage')
    if (value !== undefined) throw new CliError('--unset removes a setting: give no value.', 'usage')
    const { [name]: was, ...rest } = settings
    if (was !== undefined) await writeSettings(rest)
    terminal.say(was === undefined ? `No ${name} was set.` : `The ${name} was ${was}, and is not set any more.`)
  } else if (name === undefined) {
    const lines = Object.entries(settings).map(([each, is]) => `${each}=${is}\n`)
    process.stdout.write(lines.join(''))
    if (lines.length === 0) terminal.say('Nothing is set. To set the relay to use: pairlay config relay URL')
  } else if (value === undefined) {
    const is = settings[name]
    const form = name === 'relay' ? 'URL' : 'FILE'
    if (is === undefined) throw new CliError(`No ${name} is set. To set one: pairlay config ${name} ${form}`)
    process.stdout.write(`${is}\n`)
  } else if (name === 'relay') {
    await keepRelay(settings, relayAddress(value, 'This address'), terminal)
  } else {
    await keepTokenFile(settings, resolve(value), terminal)
  }
  if (process.env.PAIRLAY_RELAY) terminal.say('PAIRLAY_RELAY is set in this environment, and takes precedence.')
  return EXIT.delivered
}

/** Keeps the relay to use. The access token of another one is not sent to it. */
async function keepRelay(settings: Settings, relay: string, terminal: Terminal): Promise<void> {
  const { relay: was, 'access-token-file': file } = settings
  const isOther = file !== undefined && (was === undefined || relayUrl(was) !== relay)
  await writeSettings(isOther ? { relay } : { ...settings, relay })
  terminal.say(`The relay to use is ${relay} from now on.`)
  if (isOther) terminal.say('The access-token-file was for another one, and is not set any more.')
  warnOfPlainHttp(relay, terminal)
}

/** Keeps the file of the access token for the relay that is kept. Throws CliError where there is no such relay, or no token. */
async function keepTokenFile(settings: Settings, path: string, terminal: Terminal): Promise<void> {
  const { relay } = settings
  if (relay === undefined) {
    throw new CliError('An access token is for one relay. Set that first: pairlay config relay URL', 'usage')
  }
  await tokenIn(path, 'access-token-file')
  await writeSettings({ ...settings, 'access-token-file': path })
  terminal.say(`The access token for ${relay} is in ${shown(path)} from now on.`)
}
