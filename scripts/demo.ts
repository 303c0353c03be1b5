import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { EPITAPH_MS } from '../src/protocol/limits.ts'

/** `npm run demo`: a relay, a sender and a receiver, each in its own process, and a file of 256 MiB. */

const FILE_MIB = 256
const MIB = 1024 * 1024
const dist = fileURLToPath(new URL('../dist/', import.meta.url))
const children: ChildProcess[] = []
const folder = await mkdtemp(join(tmpdir(), 'pairlay-demo-'))

try {
  await demo()
} finally {
  for (const child of children) child.kill()
  await rm(folder, { recursive: true, force: true })
}

async function demo(): Promise<void> {
  const original = join(folder, 'holiday.bin')
  console.log(`Making a file of ${FILE_MIB} MiB …`)
  const sent = await makeFile(original)

  const relay = start('server/main.js', [], { HOST: '127.0.0.1', PORT: '0' })
  const { port } = await relay.line((line) => line.msg === 'the relay is ready')
  const url = `http://127.0.0.1:${port}`
  console.log(`The relay listens on ${url}. It will see half of the code, public keys and ciphertext.`)

  const sender = start('cli/main.js', ['send', original, '--json', '--yes', '--relay', url])
  const { code } = await sender.line((line) => line.event === 'code')
  console.log(`The sender shows the code ${code}.`)

  const receiver = start('cli/main.js', [
    'receive',
    '--json',
    '--yes',
    '--relay',
    url,
    '-o',
    join(folder, 'received.bin'),
  ])
  receiver.write(`${code}\n`)
  const { matchNumber: here } = await receiver.line((line) => line.event === 'number')
  const { matchNumber: there } = await sender.line((line) => line.event === 'request')
  console.log(`The receiver enters it. Both now show a match number: ${here} there, ${there} here.`)
  console.log('(The demo says yes to everything; people compare the numbers first.)')

  const { bytes, ms } = await sender.line((line) => line.event === 'delivered')
  const received = await digestOf(join(folder, 'received.bin'))
  const rate = (Number(bytes) / MIB / (Number(ms) / 1000)).toFixed(0)
  console.log(
    `Delivered: ${Number(bytes) / MIB} MiB in ${(Number(ms) / 1000).toFixed(1)} s, ${rate} MiB/s, end to end encrypted.`,
  )
  console.log(received === sent ? `The SHA-256 is the same on both sides: ${sent}` : 'The SHA-256 differs!')
  await Promise.all([sender.ended, receiver.ended])
  const minutes = EPITAPH_MS / 60_000
  console.log(
    `Both sides have left. For ${minutes} minutes the relay still knows how it ended, and nothing else of theirs.`,
  )
  if (received !== sent) process.exitCode = 1
}

type Line = Record<string, unknown>

function start(program: string, args: string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [join(dist, program), ...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const seen: Line[] = []
  let look = () => {}
  createInterface({ input: child.stdout }).on('line', (text) => {
    seen.push(JSON.parse(text))
    look()
  })
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve))
  const line = (wanted: (line: Line) => boolean) =>
    new Promise<Line>((resolve, reject) => {
      look = () => {
        const found = seen.find(wanted)
        if (found) resolve(found)
      }
      look()
      void ended.then((code) => reject(new Error(`${program} ended with ${code}`)))
    })
  return { line, ended, write: (text: string) => child.stdin.write(text) }
}

/** Writes bytes that no compression shortens: SHA-512 of a counter, repeated over each MiB with another first block. */
async function makeFile(path: string): Promise<string> {
  const digest = createHash('sha256')
  const file = await open(path, 'w')
  try {
    const block = Buffer.alloc(MIB)
    for (let at = 0; at < MIB; at += 64) createHash('sha512').update(`block ${at}`).digest().copy(block, at)
    for (let n = 0; n < FILE_MIB; n++) {
      block.writeUInt32BE(n)
      digest.update(block)
      await file.write(block)
    }
  } finally {
    await file.close()
  }
  return digest.digest('hex')
}

async function digestOf(path: string): Promise<string> {
  const digest = createHash('sha256')
  await pipeline(createReadStream(path), digest)
  return digest.digest('hex')
}
