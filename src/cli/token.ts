import { createHash, randomBytes } from 'node:crypto'
import { CliError, EXIT } from './exit.ts'

/** `pairlay token new NAME`: shows a fresh access token to a person, and prints the line of a relay's file on stdout. */
export async function token(_action: 'new', name: string): Promise<number> {
  if (!/^[\w.@-]{1,64}$/.test(name))
    throw new CliError('A name is up to 64 letters, digits, dots, dashes, underscores and @.', 'usage')
  const made = randomBytes(32).toString('base64url')
  process.stderr.write(`The token for ${name}, shown this once:\n${made}\nThe line for ACCESS_TOKENS_FILE:\n`)
  process.stdout.write(`${name} sha256:${createHash('sha256').update(made).digest('base64url')}\n`)
  return EXIT.delivered
}
