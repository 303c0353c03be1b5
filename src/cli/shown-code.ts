import { type List, type Sender, type Source, totalOf } from '../client/index.ts'
import { shown } from '../node/shown.ts'
import { formatBytes, formatDuration, formatFiles, forShell } from './format.ts'
import { neededRate } from './progress.ts'
import { qrCode } from './qr.ts'
import { DEFAULT_RELAY } from './relay.ts'
import type { Terminal } from './terminal.ts'

interface Shown {
  readonly sender: Pick<Sender, 'code' | 'link' | 'expiresInMs' | 'codeExpiresInMs'>
  readonly sources: List<Source>
  readonly relay: string
  readonly receivers: number
  /** The relay has a page that the link leads to. */
  readonly hasPage: boolean
  readonly qr: boolean
}

/** Shows the code, and what to do with it. */
export function showCode({ sender, sources, relay, receivers, hasPage, qr }: Shown, terminal: Terminal): void {
  const { code, link, expiresInMs, codeExpiresInMs } = sender
  terminal.event('code', { code, link, expiresInMs: Math.round(codeExpiresInMs) })
  const drawn = qr && hasPage && terminal.interactive ? qrCode(link, terminal) : undefined
  if (drawn) terminal.say(`\n${drawn}`)
  const [where, awaited] =
    receivers === 1 ? ['the other device', 'the other device'] : ['each device', `${receivers} devices`]
  terminal.say(`Sending ${wordsFor(sources)}. On ${where}:`)
  terminal.say(`\n  ${commandFor(code, relay)}\n`)
  if (hasPage) terminal.say(`or open ${link}`)
  terminal.say(`Code: ${code}`, 'always')
  const needed = neededRate(totalOf(sources), expiresInMs)
  if (needed) terminal.say(`${needed} A longer --ttl gives it more time.`)
  terminal.say(`It is good for ${formatDuration(codeExpiresInMs)}. Waiting for ${awaited} …`)
}

function wordsFor(sources: List<Source>): string {
  const total = totalOf(sources)
  const things = new Set<string>()
  let files = 0
  for (const { name, dir } of sources) {
    things.add(name.split('/', 1)[0] ?? '')
    if (!dir) files++
  }
  const [thing = ''] = things
  const isFile = sources.length === 1 && !sources.at(0)?.dir
  const what = things.size === 1 ? shown(thing) + (isFile ? '' : `/, ${formatFiles(files)}`) : formatFiles(files)
  return total === undefined ? what : `${what} (${formatBytes(total)})`
}

/** Returns the line to paste at the other device. It names the relay where that may have another one. */
export function commandFor(code: string, relay: string): string {
  const command = `pairlay receive ${code}`
  return relay === DEFAULT_RELAY ? command : `${command} --relay ${forShell(relay)}`
}
