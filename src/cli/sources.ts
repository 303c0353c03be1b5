import { isUtf8 } from 'node:buffer'
import { buffer } from 'node:stream/consumers'
import { bytesSource, type Source } from '../client/index.ts'
import { CliError } from './exit.ts'
import { fileSources } from './files.ts'
import { Terminal } from './terminal.ts'

/** Marks an item as text to be shown rather than a file to be saved. */
export const TEXT_TYPE = 'application/x-pairlay-text'

interface SourceOptions {
  readonly text?: boolean | undefined
  readonly json?: boolean | undefined
}

/** Returns what a command line sends. With `stdinIsData`, answers come from elsewhere than stdin. Throws CliError. */
export async function sourcesOf(
  paths: readonly string[],
  options: SourceOptions,
): Promise<{ sources: Source[]; stdinIsData: boolean }> {
  if (options.text) {
    if (paths.length > 0)
      throw new CliError('With --text the text is asked for, or read from stdin: name no files.', 'usage')
    const text = process.stdin.isTTY ? await askForText(options) : await buffer(process.stdin)
    if (text.length === 0) throw new CliError('There is no text to send.', 'usage')
    if (!isUtf8(text)) throw new CliError('The text is not UTF-8. Send it as it is: pairlay send - < FILE', 'usage')
    return { sources: [bytesSource(text, 'text', TEXT_TYPE)], stdinIsData: !process.stdin.isTTY }
  }
  if (paths.length === 0) throw new CliError('Name the files to send, or - for stdin.', 'usage')
  if (!paths.includes('-')) return { sources: await fileSources(paths), stdinIsData: false }
  if (paths.length > 1)
    throw new CliError('A pipe is sent alone: its length is not known, so nothing can follow it.', 'usage')
  // Its length is not known.
  return { sources: [{ name: 'stdin', once: true, open: () => process.stdin }], stdinIsData: true }
}

async function askForText({ json }: SourceOptions): Promise<Uint8Array> {
  const terminal = new Terminal({ json: json === true, stdinIsData: false })
  try {
    const text = (await terminal.ask('text', 'Text to send: ')) ?? ''
    if (text.includes('\ufffd')) throw new CliError('What was typed is not UTF-8: set the terminal to it.', 'usage')
    return Buffer.from(text)
  } finally {
    terminal.close()
  }
}
