import { createClient, DisconnectsClientError, ErrorReply, RESP_TYPES } from '@redis/client'
import { RelayError } from '../../relay/errors.ts'
import { KEYS } from './keys.ts'
import { type Argument, argumentOf, SCRIPTS } from './scripts.ts'

export interface RedisOptions {
  /** `redis://` or `rediss://`, with user and password where the server wants them. */
  readonly url: string
  /** Certificates in PEM that a `rediss://` server's must lead to, instead of those this machine trusts. */
  readonly ca?: string | undefined
  /** Called when the connection fails, and for every command that the server refuses. Never with what was in a command. */
  readonly onError: (error: Error) => void
  /** Called with the milliseconds that each answer took. */
  readonly onAnswer?: ((ms: number) => void) | undefined
}

/**
 * Time for an answer, in milliseconds, after which a command has failed, and its connection with it. A client hears of it
 * within 5 s, whatever it asked.
 */
const COMMAND_TIMEOUT_MS = 3_000
/**
 * A connection on which nothing is said for this long, in either direction, is dead; a ping each second sees to it that
 * something comes. Where something is asked all the time, this alone would never end it.
 */
const SOCKET_TIMEOUT_MS = 2_500
const PING_MS = 1_000
const CONNECT_TIMEOUT_MS = 2_000
const RECONNECT_MAX_MS = 1_000

/** A connection for commands and another for published messages, both reconnecting by themselves. */
export class RedisConnection {
  readonly #options: RedisOptions
  #client: Client
  #subscriber: Client
  /** Set where the server has sessions of another version: nothing is asked then but whose they are. */
  isForeign = false
  #connected = () => {}
  #listen = (_subscriber: Client) => {}

  constructor(options: RedisOptions) {
    // A command that was in flight when this node itself disconnected is no failure of the server's.
    const onError = (error: Error) => {
      if (!(error instanceof DisconnectsClientError)) options.onError(error)
    }
    this.#options = { ...options, onError }
    this.#client = clientOf(options)
    this.#subscriber = clientOf(options)
  }

  /** Begins to connect, and calls `connected` each time that it has. Returns at once: the server may come later. */
  start(connected: () => void): void {
    this.#connected = connected
    this.#client.on('ready', connected)
    for (const client of [this.#client, this.#subscriber]) this.#connect(client)
  }

  #connect(client: Client): void {
    client.on('error', this.#options.onError)
    client.connect().catch(this.#options.onError)
  }

  /** Gives up a connection that does not answer, with all that was asked on it, and begins a new one. */
  #replace(client: Client): void {
    if (client !== this.#client) return
    if (client.isOpen) client.destroy()
    this.#client = clientOf(this.#options)
    this.#client.on('ready', this.#connected)
    this.#connect(this.#client)
  }

  /** Sends one command. RelayError `unavailable` when the server does not answer, or not as it should. */
  async command(...parts: readonly Argument[]): Promise<unknown> {
    if (!parts.includes(KEYS.schema)) this.#requireOwn()
    return this.#inTime(this.#client.sendCommand(parts.map(argumentOf)))
  }

  /** As `command`, with texts of any bytes in the answer as they are. */
  async bytes(...parts: readonly Argument[]): Promise<unknown> {
    this.#requireOwn()
    return this.#inTime(this.#client.sendCommand(parts.map(argumentOf), AS_BYTES))
  }

  /** Runs a script. The client gives it to a server that does not have it. */
  async script(name: keyof typeof SCRIPTS, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    this.#requireOwn()
    return this.#inTime(this.#client[name](keys, args))
  }

  /**
   * Calls `heard` with what is published on a channel, and `missed` whenever something may have been published unheard, also
   * as soon as it listens. `listening` is told with which command to publish: a server that has sharded channels keeps a
   * message on the node of its channel.
   */
  subscribe(
    channel: string,
    heard: (message: string) => void,
    missed: () => void,
    listening: (publish: 'SPUBLISH' | 'PUBLISH') => void,
  ): void {
    this.#listen = (subscriber) => {
      let known = false
      subscriber.on('ready', async () => {
        try {
          // The client subscribes again by itself to what it has once subscribed to.
          if (!known) listening(await listenOn(subscriber, channel, heard))
          known = true
          missed()
        } catch (error) {
          // The connection went again: there will be another.
          if (error instanceof Error) this.#options.onError(error)
        }
      })
    }
    this.#listen(this.#subscriber)
  }

  /** Gives up the connection for what is published, and listens on a new one. */
  resubscribe(): void {
    this.#options.onError(new Error('nothing that is published is heard any more: this node subscribes anew'))
    if (this.#subscriber.isOpen) this.#subscriber.destroy()
    this.#subscriber = clientOf(this.#options)
    this.#listen(this.#subscriber)
    this.#connect(this.#subscriber)
  }

  close(): void {
    this.#client.destroy()
    this.#subscriber.destroy()
  }

  #requireOwn(): void {
    if (this.isForeign) throw new RelayError('unavailable')
  }

  async #inTime(answer: Promise<unknown>): Promise<unknown> {
    const client = this.#client
    const timer = setTimeout(() => {
      this.#options.onError(new Error('a command had no answer in time'))
      // The command fails with its connection.
      this.#replace(client)
    }, COMMAND_TIMEOUT_MS)
    const askedAt = performance.now()
    try {
      const answered = await answer
      this.#options.onAnswer?.(performance.now() - askedAt)
      return answered
    } catch (error) {
      if (error instanceof ErrorReply) this.#options.onError(error)
      throw new RelayError('unavailable')
    } finally {
      clearTimeout(timer)
    }
  }
}

async function listenOn(
  subscriber: Client,
  channel: string,
  heard: (message: string) => void,
): Promise<'SPUBLISH' | 'PUBLISH'> {
  try {
    await subscriber.sSubscribe(channel, heard)
    return 'SPUBLISH'
  } catch (error) {
    if (!(error instanceof ErrorReply)) throw error
    await subscriber.subscribe(channel, heard)
    return 'PUBLISH'
  }
}

const AS_BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }

type Client = ReturnType<typeof clientOf>

function clientOf({ url, ca }: RedisOptions) {
  const socket = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    reconnectStrategy: (retries: number) => Math.min(RECONNECT_MAX_MS, 50 * 2 ** Math.min(retries, 5)) * Math.random(),
  }
  const options = {
    url,
    RESP: 2,
    scripts: SCRIPTS,
    socket: ca === undefined ? socket : { ...socket, tls: true as const, ca },
    pingInterval: PING_MS,
    // Commands that cannot be sent now fail now, and their callers ask again.
    disableOfflineQueue: true,
    disableClientInfo: true,
    maintNotifications: 'disabled',
  } as const
  return createClient(options)
}
