import { existsSync, readFileSync } from 'node:fs'
import { WebSocket } from 'ws'
import { end, lineOf, start } from '../harness/children.ts'
import { cpuSplit } from '../harness/process-stats.ts'

/** Chromium's own protocol, spoken by hand: a library would watch each frame of the page's socket, which costs as much as sending it. */

const EXECUTABLE = process.env.CHROMIUM || '/usr/bin/chromium'
const ARGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync']
const TICKS_PER_SECOND = 100
/** How often a page is asked whether it is so far. */
const ASK_EVERY_MS = 100

type Result = Readonly<Record<string, unknown>>

export interface Chromium {
  /** Opens an address, and forgets what was open. */
  open(url: string): Promise<void>
  /** Value of an expression in the page, as within a click. */
  evaluate<T>(expression: string): Promise<T>
  /** The same once it is something. An expression that throws is nothing yet. */
  until<T>(expression: string): Promise<T>
  /** Puts a file into the first field for files. */
  choose(path: string): Promise<void>
  /** CPU that the processes of pages have had so far, in seconds. */
  pageCpu(): Promise<number>
  /** Memory of all processes of the browser now, in bytes, what they share counted once. */
  memory(): Promise<number>
  stop(): Promise<void>
}

/** Starts one with a profile in this folder, on the disk or in memory as that is. */
export async function startChromium(profile: string): Promise<Chromium | { readonly skipped: string }> {
  if (!existsSync(EXECUTABLE)) return { skipped: 'there is no Chromium; set CHROMIUM to the path of one' }
  const args = [...ARGS, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank']
  const child = start(EXECUTABLE, args, { group: true })
  const address = await lineOf(child, 'Chromium', (line) => /DevTools listening on ws:\/\/([^/]+)/.exec(line)?.[1])
  const whole = await Connection.to(await debuggerOf(`http://${address}/json/version`))
  const page = await Connection.to(await debuggerOf(`http://${address}/json/list`))

  await page.call('Page.enable')
  const processes = async () => {
    const { processInfo } = await whole.call('SystemInfo.getProcessInfo')
    return processInfo as readonly { readonly id: number; readonly type: string }[]
  }
  const evaluate = async <T>(expression: string): Promise<T> => {
    const asked = { expression, awaitPromise: true, returnByValue: true, userGesture: true }
    const { result, exceptionDetails } = await page.call('Runtime.evaluate', asked)
    if (exceptionDetails) throw new Error(`in the page: ${JSON.stringify(exceptionDetails)}`)
    return (result as { value: T }).value
  }
  const until = async <T>(expression: string): Promise<T> => {
    for (;;) {
      const value = await evaluate<T>(`(() => { try { return ${expression} } catch {} })()`)
      if (value) return value
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS))
    }
  }
  return {
    evaluate,
    until,
    open: async (url) => {
      // A page that is still connected asks whether it may be left.
      const asked = setInterval(
        () => page.call('Page.handleJavaScriptDialog', { accept: true }).catch(() => {}),
        ASK_EVERY_MS,
      )
      await page.call('Page.navigate', { url }).finally(() => clearInterval(asked))
      await until(`location.href === ${JSON.stringify(url)} && document.querySelector('h1')`)
    },
    choose: async (path) => {
      const { root } = await page.call('DOM.getDocument')
      const { nodeId: within } = root as { nodeId: number }
      const { nodeId } = await page.call('DOM.querySelector', { nodeId: within, selector: 'input[type=file]' })
      await page.call('DOM.setFileInputFiles', { files: [path], nodeId })
    },
    pageCpu: async () => {
      const pages = (await processes()).filter(({ type }) => type === 'renderer')
      const ticks = pages.map(({ id }) => cpuSplit(id)).reduce((sum, { user, kernel }) => sum + user + kernel, 0)
      return ticks / TICKS_PER_SECOND
    },
    memory: async () => (await processes()).reduce((sum, { id }) => sum + shareOf(id), 0),
    stop: () => end(child),
  }
}

/** Memory of a process, its part of what it shares (PSS), in bytes. */
function shareOf(pid: number): number {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]) * 1024
  } catch {
    // A process that has ended.
    return 0
  }
}

/** The address of a debugger: of the browser itself, or of the first page in a list. */
async function debuggerOf(url: string): Promise<string> {
  const said = await (await fetch(url)).json()
  const found = Array.isArray(said) ? said.find(({ type }) => type === 'page') : said
  return found.webSocketDebuggerUrl
}

/** Calls and their answers. What is told unasked is not listened to. */
class Connection {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, { resolve: (result: Result) => void; reject: (error: Error) => void }>()
  #ids = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => {
      const { id, result, error } = JSON.parse(String(data))
      const waiting = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error) waiting?.reject(new Error(error.message))
      else waiting?.resolve(result)
    })
  }

  static to(url: string): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false })
      socket.on('open', () => resolve(new Connection(socket)))
      socket.on('error', reject)
    })
  }

  call(method: string, params: object = {}): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(++this.#ids, { resolve, reject })
      this.#socket.send(JSON.stringify({ id: this.#ids, method, params }))
    })
  }
}
