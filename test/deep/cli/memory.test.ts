import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { openSender, relayOfFile, run, temporaryDirectory } from '../../cli/support.ts'

/** Memory of both commands grows with the list of an offer, and with nothing that is in its files or passes for one of them. */

const relay = relayOfFile()

const FEW = 1_000
const MANY = 9_000
/** Memory of an entry as long as it is listed: at the sender its line, which has just gone out, is still there beside it. */
const LISTED_BYTES = 250
/** Heap that a file may leave behind until old garbage is collected. With all that it needs it would be 1,000 to 2,500 bytes. */
const PASSED_BYTES = 600

/**
 * Collects all garbage of a command when it prints the text MARK, and tells at its end what it held then, on the heap and beside it, and
 * how much came to the heap since that has outlived two collections of young garbage, dead or alive.
 */
const TELL_HEAP = `data:text/javascript,${encodeURIComponent(`
  import { writeFileSync } from 'node:fs'
  import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
  import { runInNewContext } from 'node:vm'
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc')
  const oldBytes = () => getHeapSpaceStatistics().find((space) => space.space_name === 'old_space').space_used_size
  let listed
  let oldWhenListed
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream)
    stream.write = (text, ...rest) => {
      if (listed === undefined && String(text).includes(process.env.MARK)) {
        collect()
        const { heapUsed, external } = process.memoryUsage()
        listed = heapUsed + external
        oldWhenListed = oldBytes()
      }
      return write(text, ...rest)
    }
  }
  process.on('exit', () => writeFileSync(process.env.HEAP_FILE, JSON.stringify({ listed, passed: oldBytes() - oldWhenListed })))
`)}`

interface Heap {
  readonly listed: number
  readonly passed: number
}

/** Hands a folder of so many files over, and resolves with the heap of either end. */
async function heapsWith(files: number): Promise<{ sender: Heap; receiver: Heap }> {
  const { at } = await temporaryDirectory({ 'out/': '' })
  const content = Buffer.alloc(600, 'content')
  for (let n = 0; n < files; n++) {
    if (n % 100 === 0) await mkdir(at(`folder/${n / 100}`), { recursive: true })
    await writeFile(at(`folder/${Math.floor(n / 100)}/${n}`), content)
  }
  const telling = (end: string, mark: string) => ({
    env: { ...relay.env, NODE_OPTIONS: `--import=${TELL_HEAP}`, HEAP_FILE: at(end), MARK: mark },
  })
  const { sender, code } = await openSender([at('folder')], telling('sender', '"answer"'))
  const received = await run(['receive', code, '--yes', '-o', at('out')], telling('receiver', 'The sender offers'))
  expect([(await sender.ended()).exitCode, received.exitCode]).toEqual([0, 0])
  const heapOf = async (end: string) => JSON.parse(await readFile(at(end), 'utf8')) as Heap
  return { sender: await heapOf('sender'), receiver: await heapOf('receiver') }
}

test('an entry takes some hundred bytes at each end, and its file leaves nothing that outlives it', async () => {
  const [few, many] = [await heapsWith(FEW), await heapsWith(MANY)]
  for (const end of ['sender', 'receiver'] as const) {
    const each = (what: keyof Heap) => Math.round((many[end][what] - few[end][what]) / (MANY - FEW))
    expect(each('listed'), end).toBeLessThan(LISTED_BYTES)
    expect(each('passed'), end).toBeLessThan(PASSED_BYTES)
  }
})
