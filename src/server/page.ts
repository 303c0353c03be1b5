import { hash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PAGE_POLICY } from '../protocol/page-policy.ts'
import type { NamedLink } from './variable-forms.ts'

const HEADERS = {
  'content-security-policy': PAGE_POLICY,
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(self), microphone=(), geolocation=()',
  'x-robots-tag': 'noindex',
  vary: 'accept-encoding',
} as const

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
  '.txt': 'text/plain; charset=utf-8',
}

/** Words of an operator on the page. */
export interface PageWords {
  readonly name?: string | undefined
  readonly notice?: string | undefined
  readonly links: readonly NamedLink[]
}

interface PageFile {
  readonly type: string
  readonly etag: string
  readonly cacheControl: string
  /** By content coding, the smallest first. */
  readonly bodies: readonly (readonly [coding: 'br' | 'gzip' | 'identity', body: Buffer])[]
}

/** Serves the files of a folder as they were at the start, each at its path, and what the operator says beside them. */
export async function page(
  app: FastifyInstance,
  { folder, version, words }: { readonly folder: URL; readonly version: string; readonly words: PageWords },
): Promise<void> {
  const hidden = { schema: { hide: true } }
  for (const [path, file] of filesIn(folder)) {
    app.get(path, hidden, (request, reply) => answer(file, request, reply))
    if (path === '/index.html') app.get('/', hidden, (request, reply) => answer(file, request, reply))
  }
  app.get('/page.json', hidden, (_request, reply) =>
    reply
      .headers(HEADERS)
      .header('cache-control', 'no-cache')
      .send({ version, ...words }),
  )
}

/** Reads a folder once. A file beside which there is one with `.br` or `.gz` is sent so to whoever takes that. */
function filesIn(folder: URL): Map<string, PageFile> {
  const files = new Map<string, PageFile>()
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const type = TYPES[name.slice(name.lastIndexOf('.'))]
    if (type === undefined || !statSync(new URL(name, folder)).isFile()) continue
    const body = readFileSync(new URL(name, folder))
    const packed = (['br', 'gz'] as const).flatMap((ending) => {
      const coding = ending === 'gz' ? 'gzip' : ending
      try {
        return [[coding, readFileSync(new URL(`${name}.${ending}`, folder))] as const]
      } catch {
        return []
      }
    })
    files.set(`/${name}`, {
      type,
      etag: `"${hash('sha256', body, 'base64url')}"`,
      cacheControl: name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
      bodies: [...packed, ['identity', body]],
    })
  }
  return files
}

function answer({ type, etag, cacheControl, bodies }: PageFile, { headers }: FastifyRequest, reply: FastifyReply) {
  reply.headers(HEADERS).header('etag', etag).header('cache-control', cacheControl)
  if (headers['if-none-match'] === etag) return reply.code(304).send()
  const taken = codingsIn(headers['accept-encoding'] ?? '')
  const [coding, body] = bodies.find(([each]) => taken.includes(each)) ?? (bodies.at(-1) as PageFile['bodies'][number])
  if (coding !== 'identity') reply.header('content-encoding', coding)
  return reply.type(type).send(body)
}

/** Names the content codings that a client takes. */
function codingsIn(accepted: string): string[] {
  const isRefused = (parameters: string[]) => parameters.some((each) => /^\s*q=0(\.0*)?\s*$/.test(each))
  const each = accepted.split(',').map((item) => item.split(';'))
  return each.filter(([, ...parameters]) => !isRefused(parameters)).map(([name = '']) => name.trim().toLowerCase())
}
