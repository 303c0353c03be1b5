import { hash, timingSafeEqual } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import { RelayError } from '../../relay/errors.ts'
import type { Clock } from '../../relay/ports.ts'
import type { RateLimit } from './rate-limits.ts'

/** How long the file counts as unchanged, in milliseconds. */
const LOOK_AGAIN_MS = 1_000
/** A name, and the SHA-256 of a token in base64url. */
const LINE = /^([\w.@-]{1,64})\s+sha256:([A-Za-z0-9_-]{43})$/

/** The file of access tokens. Both calls may throw what the file system throws. */
export interface AccessFile {
  read(): string
  /** Differs from an earlier one when the file has changed. */
  version(): string
}

/** The file of access tokens is not of its form. The message names the line, and nothing in it. */
export class AccessFileError extends Error {
  override readonly name = 'AccessFileError'
}

/** Reads names and digests. Empty lines, and lines that begin with #, say nothing. Throws AccessFileError. */
export function parseAccessFile(text: string): ReadonlyMap<string, Buffer> {
  const digests = new Map<string, Buffer>()
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const [, name, digest] = LINE.exec(line.trim()) ?? []
    if (name === undefined || digest === undefined)
      throw new AccessFileError(`line ${at + 1} is not a name and sha256:… as pairlay token new prints them`)
    if (digests.has(name)) throw new AccessFileError(`line ${at + 1} has a name that an earlier line has`)
    digests.set(name, Buffer.from(digest, 'base64url'))
  }
  return digests
}

/** The file at a path. */
export function accessFileAt(path: string): AccessFile {
  return {
    read: () => readFileSync(path, 'utf8'),
    version: () => {
      const { mtimeMs, size, ino } = statSync(path)
      return `${mtimeMs} ${size} ${ino}`
    },
  }
}

/** Tokens of those who may open sessions, from a file that is read again when it changes. */
export class AccessTokens {
  readonly #file: AccessFile
  readonly #clock: Clock
  readonly #logger: FastifyBaseLogger
  #digests: ReadonlyMap<string, Buffer>
  #version: string
  #lookedAt: number
  /** The version of the file that could not be read, and why, as the log has it. */
  #said = ''

  /** Throws AccessFileError, and what the file system throws. */
  constructor(file: AccessFile, clock: Clock, logger: FastifyBaseLogger) {
    this.#file = file
    this.#clock = clock
    this.#logger = logger
    this.#version = file.version()
    this.#digests = parseAccessFile(file.read())
    this.#lookedAt = clock.now()
  }

  /** How many there are. */
  get size(): number {
    return this.#digests.size
  }

  /** Reports whether a token is one of them. Takes as long whichever it is, or none. */
  has(token: string): boolean {
    this.#look()
    const digest = hash('sha256', token, 'buffer')
    let found = false
    for (const each of this.#digests.values()) found = timingSafeEqual(each, digest) || found
    return found
  }

  #look(): void {
    const now = this.#clock.now()
    if (now - this.#lookedAt < LOOK_AGAIN_MS) return
    this.#lookedAt = now
    let version = ''
    try {
      version = this.#file.version()
      if (version === this.#version) return
      this.#digests = parseAccessFile(this.#file.read())
      this.#version = version
      this.#said = ''
      this.#logger.info({ tokens: this.size }, 'ACCESS_TOKENS_FILE has changed and was read')
    } catch (error) {
      const reason = error instanceof AccessFileError ? error.message : (error as NodeJS.ErrnoException).code
      // Once for each version of the file: a file that is away has none.
      if (this.#said !== `${version} ${reason}`)
        this.#logger.error({ reason }, 'ACCESS_TOKENS_FILE cannot be read: the tokens read before still count')
      this.#said = `${version} ${reason}`
      // A file that may be read again is the same version.
      this.#version = error instanceof AccessFileError ? version : ''
    }
  }
}

/**
 * Lets those open a session who come from one of the networks, if there are any, and who have a token, if there is a file of
 * them; undefined where all may. RelayError `access_denied`, `unauthorized`. Joining is for whoever has a code.
 */
export function restrictCreates(
  isFromNetworks: ((request: FastifyRequest) => boolean) | undefined,
  tokens: AccessTokens | undefined,
): RateLimit | undefined {
  if (!isFromNetworks && !tokens) return undefined
  return async (request) => {
    if (isFromNetworks?.(request) === false) throw new RelayError('access_denied')
    if (tokens === undefined) return
    const [, token] = /^Bearer ([\x21-\x7e]{1,512})$/.exec(request.headers.authorization ?? '') ?? []
    if (token === undefined)
      throw new RelayError('unauthorized', 'opening a session takes an access token of this relay')
    if (!tokens.has(token)) throw new RelayError('unauthorized', 'the access token is not one of this relay')
  }
}
