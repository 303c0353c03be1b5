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
    if (is === undefined) throw new CliError(`No ${name} is set. To set one: pairlay config ${name} URL`)
    process.stdout.write(`${is}\n`)
  } else {
    const relay = relayAddress(value, 'This address')
    await writeSettings({ ...settings, relay })
    terminal.say(`The relay to use is ${relay} from now on.`)
    warnOfPlainHttp(relay, terminal)
  }
  if (process.env.PAIRLAY_RELAY) terminal.say('PAIRLAY_RELAY is set in this environment, and takes precedence.')
  return EXIT.delivered
}
