import type { Environment } from '../../src/client/environment.ts'
import { ERRORS, type HttpErrorCode } from '../../src/protocol/errors.ts'
import { settled } from './fake-time.ts'

/** A request that waits for its answer, with the test as the relay. */
export class FakeCall {
  readonly method: string
  /** Behind the session's URL. */
  readonly path: string
  readonly init: RequestInit
  readonly at: number
  aborted = false
  readonly answered: Promise<Response>
  #resolve: (response: Response) => void = () => {}
  #reject: (error: Error) => void = () => {}

  constructor(path: string, init: RequestInit, at: number) {
    this.method = String(init.method)
    this.path = path
    this.init = init
    this.at = at
    this.answered = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    init.signal?.addEventListener('abort', () => {
      this.aborted = true
      this.#reject(new DOMException('aborted', 'AbortError'))
    })
  }

  get body(): Uint8Array {
    return this.init.body as Uint8Array
  }

  get json(): unknown {
    return JSON.parse(String(this.init.body))
  }

  async answer(body: unknown, init: ResponseInit = {}): Promise<void> {
    this.#resolve(body === undefined ? new Response(null, { status: 204, ...init }) : Response.json(body, init))
    await settled()
  }

  async bytes(bytes: Uint8Array, type = 'application/octet-stream'): Promise<void> {
    this.#resolve(new Response(new Uint8Array(bytes), { headers: { 'content-type': type } }))
    await settled()
  }

  async refuse(code: HttpErrorCode): Promise<void> {
    const { status, retryable } = ERRORS[code]
    await this.answer({ type: 'about:blank', title: 'No', status, code, retryable }, { status })
  }

  async fail(): Promise<void> {
    this.#reject(new TypeError('fetch failed'))
    await settled()
  }
}

/** The network of one session over HTTP: what was asked, and what is not answered yet. */
export class FakeHttp {
  readonly calls: FakeCall[] = []
  readonly #open = new Set<FakeCall>()
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  readonly fetch: Environment['fetch'] = async (url, init) => {
    const call = new FakeCall(url.replace(/^.*\/v1\/sessions\/[^/?]+/, ''), init, this.#now())
    this.calls.push(call)
    this.#open.add(call)
    try {
      return await call.answered
    } finally {
      this.#open.delete(call)
    }
  }

  /** Calls that wait for an answer: `poll` if there is one, then `METHOD path`, in the order of asking. */
  get open(): string[] {
    const names = [...this.#open].map((call) => nameOf(call))
    return [...names.filter((name) => name === 'poll'), ...names.filter((name) => name !== 'poll')]
  }

  /** The one call of this name that waits. Fails when there is none. */
  one(name: string): FakeCall {
    const [call] = [...this.#open].filter((each) => nameOf(each) === name)
    if (!call) throw new Error(`nobody asks for ${name}, only for ${this.open.join(', ') || 'nothing'}`)
    return call
  }
}

function nameOf({ method, path }: FakeCall): string {
  if (path.startsWith('?')) return 'poll'
  return `${method} ${path.replace(/\?.*$/, '').replace(/^\/channels\/(\d+)\/frames\/(\d+)$/, '$1/$2')}`
}
