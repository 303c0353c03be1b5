import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Bundle } from './bundle.ts'

/** As strict as a page's policy can be: no inline script, no eval, no style, no image. */
const POLICY = "default-src 'none'; script-src 'self'; connect-src http://127.0.0.1:* ws://127.0.0.1:*"

/** A web server with one page, which makes a `Device` of the bundled SDK. */
export class Site {
  /** Every path asked for, in order. */
  readonly asked: string[] = []
  readonly #server: Server

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(directory: string, sdk: Bundle, device: Bundle): Promise<Site> {
    const files = new Map([
      ['/', '<!doctype html><title>A device</title><script type="module" src="/page.js"></script>'],
    ])
    for (const { fileName } of [...sdk.chunks, ...device.chunks]) {
      files.set(`/${fileName}`, readFileSync(join(directory, fileName), 'utf8'))
    }
    files.set(
      '/page.js',
      `import * as sdk from './${sdk.main}'\nimport { Device } from './${device.main}'\nglobalThis.device = new Device(sdk)`,
    )
    const server = createServer(({ url = '' }, response) => {
      site.asked.push(url)
      const file = files.get(url)
      const type = url === '/' ? 'text/html; charset=utf-8' : 'text/javascript'
      response.writeHead(file === undefined ? 404 : 200, { 'content-type': type, 'content-security-policy': POLICY })
      response.end(file)
    })
    const site = new Site(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return site
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The page's origin. It is that of no relay. */
  get origin(): string {
    return `http://127.0.0.1:${this.port}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
