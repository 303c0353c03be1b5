import { readFile } from 'node:fs/promises'
import { CliError } from './exit.ts'

/** The access token for a relay that wants one: from the file named on the command line or in the environment. Throws CliError. */
export async function accessTokenFrom(option: string | undefined): Promise<string | undefined> {
  const path = option ?? process.env.PAIRLAY_ACCESS_TOKEN_FILE
  if (!path) return undefined
  const source = option === undefined ? 'PAIRLAY_ACCESS_TOKEN_FILE' : '--access-token-file'
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
