import { hash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { PAGE_POLICY } from '../protocol/page-policy.ts'
import { reasonOf } from './doctor/front.ts'
import { CliError, EXIT } from './exit.ts'
import { relayAddress, unusedProxy } from './relay.ts'
import { writeForPeople } from './terminal.ts'

/** The page of this build, and the package that it belongs to. */
const PAGE = new URL('../web/', import.meta.url)
const PACKAGE = new URL('../../package.json', import.meta.url)
/** How long one file may take, in milliseconds. */
const PATIENCE_MS = 30_000

/** `pairlay verify`: compares the page that a relay serves with that of this build. Resolves with the exit code. Throws CliError. */
export async function verify(url: string): Promise<number> {
  const relay = relayAddress(url, 'This address')
  const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8'))
  const files = filesIn(PAGE)
  const faults = await faultsOf(relay, files)
  if (faults.length === 0) {
    process.stdout.write(`The page at ${relay} is Pairlay ${version}, unchanged (${files.size} files).\n`)
    return EXIT.delivered
  }
  for (const fault of faults) process.stdout.write(`${fault}\n`)
  writeForPeople(`pairlay: The page at ${relay} is not that of Pairlay ${version}.\n`)
  return EXIT.failed
}

/** The files of a page by their paths, without those that are packed. */
export function filesIn(folder: URL): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => statSync(new URL(name, folder)).isFile() && !/\.(br|gz)$/.test(name))
  return new Map(names.sort().map((name) => [name, readFileSync(new URL(name, folder))]))
}

/** Says what is another than these files at a relay, a line for each. Throws CliError where there is no relay. */
export async function faultsOf(relay: string, files: ReadonlyMap<string, Buffer>): Promise<string[]> {
  const faults: string[] = []
  const wanted = [...files, ['', files.get('index.html') ?? Buffer.alloc(0)] as const]
  for (const [path, bytes] of wanted) {
    const { status, policy, body } = await fetched(`${relay}/${path}`, bytes.length)
    if (status !== 200) faults.push(`/${path} is not there: the answer is ${status}.`)
    else if (hash('sha256', body) !== hash('sha256', bytes)) faults.push(`/${path} has other bytes.`)
    else if (policy !== PAGE_POLICY) faults.push(`/${path} comes with another policy.`)
  }
  return faults
}

/** Asks for a file, and reads no more of it than tells that it is too long. */
async function fetched(url: string, length: number) {
  try {
    const headers = { 'accept-encoding': 'identity' }
    const signal = AbortSignal.timeout(PATIENCE_MS)
    const answer = await fetch(url, { headers, signal, redirect: 'manual' })
    const pieces: Uint8Array[] = []
    let read = 0
    for await (const piece of answer.body ?? []) {
      pieces.push(piece)
      read += piece.length
      if (read > length) break
    }
    return { status: answer.status, policy: answer.headers.get('content-security-policy'), body: Buffer.concat(pieces) }
  } catch (error) {
    const line = `${url} cannot be read: ${reasonOf(error)}. Check the address and the network.${unusedProxy(url)}`
    throw new CliError(line, 'relay', 'relay_unreachable')
  }
}
