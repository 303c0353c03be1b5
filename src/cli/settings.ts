import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { writePrivately } from '../node/private-file.ts'
import { shown } from '../node/shown.ts'
import { CliError } from './exit.ts'
import { reasonOf } from './files.ts'

/** Settings that a file keeps for its user. None of them is a secret. */
export interface Settings {
  readonly relay?: string | undefined
  /** The file of the access token for that relay, and for no other. */
  readonly 'access-token-file'?: string | undefined
}

/** Where this user's settings are, or undefined for a user who has no home folder. */
export function settingsPath(env = process.env, platform: NodeJS.Platform = process.platform): string | undefined {
  const { XDG_CONFIG_HOME: given } = env
  const file = join('pairlay', 'config.json')
  if (given && isAbsolute(given)) return join(given, file)
  try {
    return join(usualFolder(env, platform), file)
  } catch {
    return undefined
  }
}

/** Where programs of this system keep settings. Throws for a user who has no home folder. */
function usualFolder({ APPDATA: roaming }: NodeJS.ProcessEnv, platform: NodeJS.Platform): string {
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support')
  if (platform === 'win32') return roaming || join(homedir(), 'AppData', 'Roaming')
  return join(homedir(), '.config')
}

/** The settings of this user; none where there is no file. Throws CliError for a file that cannot be read, or is wrong. */
export function readSettings(path = settingsPath()): Settings {
  const text = path === undefined ? undefined : textOf(path)
  if (path === undefined || text === undefined) return {}
  const settings = parsed(text)
  const wrong = faultOf(settings)
  if (!wrong) return settings as Settings
  const advice = 'Mend it, or remove it and set what you need with `pairlay config`.'
  throw new CliError(`The settings in ${shown(path)} are wrong: ${wrong}. ${advice}`, 'usage')
}

/** Says what is wrong with settings. */
function faultOf(settings: unknown): string | undefined {
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) return 'they are no JSON object'
  const { relay, 'access-token-file': tokenFile, ...unknown } = settings as Settings
  if (relay !== undefined && typeof relay !== 'string') return 'relay is not a text'
  if (tokenFile !== undefined && typeof tokenFile !== 'string') return 'access-token-file is not a text'
  const names = Object.keys(unknown)
  return names.length > 0 ? `there is no setting called ${names.join(', ')}` : undefined
}

/** Keeps the settings of this user. Throws CliError where that cannot be. */
export async function writeSettings(settings: Settings, path = settingsPath()): Promise<void> {
  if (path === undefined) throw new CliError('There is no home folder to keep settings in. Set XDG_CONFIG_HOME.')
  await writePrivately(path, `${JSON.stringify(settings, undefined, 2)}\n`).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'EEXIST' ? 'its folder is a file' : reasonOf(error)
    throw new CliError(`Cannot write ${shown(path)}: ${why}.`)
  })
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const failure = error as NodeJS.ErrnoException
    if (failure.code === 'ENOENT' || failure.code === 'ENOTDIR') return undefined
    throw new CliError(`Cannot read the settings in ${shown(path)}: ${reasonOf(failure)}. Mend that, or remove it.`)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''))
  } catch {
    return undefined
  }
}
