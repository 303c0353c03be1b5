import { readFile } from 'node:fs/promises'
import { relayUrl } from '../client/index.ts'
import { CliError } from './exit.ts'
import { readSettings } from './settings.ts'

/**
 * The access token for a relay that wants one: from the file named on the command line, or in the environment, or in the settings
 * beside this relay. Throws CliError.
 */
export async function accessTokenFrom(option: string | undefined, relay: string): Promise<string | undefined> {
  if (option !== undefined) return tokenIn(option, '--access-token-file')
  const variable = process.env.PAIRLAY_ACCESS_TOKEN_FILE
  if (variable) return tokenIn(variable, 'PAIRLAY_ACCESS_TOKEN_FILE')
  const kept = tokenFileFor(relay)
  return kept === undefined ? undefined : tokenIn(kept, 'access-token-file of `pairlay config`')
}

/** The file that the settings name for this relay. Settings that are wrong name none: whoever needs their relay has heard of it. */
function tokenFileFor(relay: string): string | undefined {
  try {
    const { relay: kept, 'access-token-file': file } = readSettings()
    return kept !== undefined && relayUrl(kept) === relay ? file : undefined
  } catch {
    return undefined
  }
}

/** The access token in a file. `source` is what named it. Throws CliError. */
export async function tokenIn(path: string, source: string): Promise<string> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    throw new CliError(`${source} is not a file that can be read: ${(error as NodeJS.ErrnoException).code}.`, 'usage')
  }
  if (/^[\x21-\x7e]{1,512}$/.test(text)) return text
  throw new CliError(
    `The file of ${source} has no access token in it: that is one word, as pairlay token new shows it.`,
    'usage',
  )
}
