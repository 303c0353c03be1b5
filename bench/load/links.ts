import { randomBytes } from 'node:crypto'
import { Credit, type Endpoint, type Pair, RelayEndpoint, StreamEndpoint } from './endpoints.ts'
import { openPair as openRelayPair } from './relay-client.ts'
import { withTimeout } from './time.ts'
import { BINARY, FrameReader, maskedFrame, WebSocketWire } from './websocket.ts'
import { type Address, type Listener, readUntil, Wire } from './wire.ts'

/** How two ends meet at each kind of server, so that the same load can run through all of them. */
export const LINK_KINDS = ['relay', 'ws', 'ws-proxy', 'tcp', 'tcp-proxy', 'transit', 'http-pipe', 'redis'] as const
export type LinkKind = (typeof LINK_KINDS)[number]

export interface Target {
  readonly kind: LinkKind
  readonly host: string
  readonly port: number
  /** Of a relay of several nodes, the one that the far end goes to. */
  readonly far?: Address
}

export interface LinkSize {
  /** Bytes of one message, whatever the server's own framing adds. */
  readonly messageBytes: number
  /** How many messages will go from near to far. Only HTTP has to know. */
  readonly messages: number
}

/** Where proxies connect to: this process's own listener. */
let backend: Listener | undefined
let onBackend: (wire: Wire) => void = (wire) => wire.destroy()

export async function listenAsBackend(): Promise<number> {
  backend ??= await Wire.listen((wire) => onBackend(wire))
  return backend.port
}

const OPEN_TIMEOUT_MS = 15_000

export function openLink(target: Target, size: LinkSize): Promise<Pair> {
  return withTimeout(OPEN_TIMEOUT_MS, linkOf(target, size))
}

function linkOf(target: Target, size: LinkSize): Promise<Pair> {
  switch (target.kind) {
    case 'relay':
      return relayLink(target, size)
    case 'ws':
      return wsLink(target, size)
    case 'ws-proxy':
      return wsProxyLink(target, size)
    case 'tcp':
      return meetingLink(target, size, () => `${randomBytes(8).toString('hex')}\n`)
    case 'tcp-proxy':
      return tcpProxyLink(target, size)
    case 'transit': {
      const channel = randomBytes(32).toString('hex')
      return meetingLink(
        target,
        size,
        () => '',
        (side) => `please relay ${channel} for side ${side}\n`,
      )
    }
    case 'http-pipe':
      return httpPipeLink(target, size)
    case 'redis':
      return redisLink(target, size)
    default:
      return target.kind satisfies never
  }
}

async function relayLink(target: Target, { messageBytes }: LinkSize): Promise<Pair> {
  const { sender, receiver, channel, close } = await openRelayPair(target, target.far)
  return {
    near: new RelayEndpoint(sender, channel, messageBytes),
    far: new RelayEndpoint(receiver, channel, messageBytes),
    close,
  }
}

async function wsLink(target: Target, { messageBytes }: LinkSize): Promise<Pair> {
  const path = `/pair/${randomBytes(8).toString('hex')}`
  const { bytes } = maskedFrame(BINARY, randomBytes(messageBytes))
  const meet = async () => {
    let paired: () => void = () => {}
    const met = new Promise<void>((resolve) => {
      paired = resolve
    })
    const socket = await WebSocketWire.connect(target, path, { onText: () => paired() })
    return { socket, met }
  }
  const ends = [await meet(), await meet()] as const
  await Promise.all(ends.map(({ met }) => met))
  const sockets = [ends[0].socket, ends[1].socket] as const
  const [near, far] = sockets.map((socket) => {
    const end = new StreamEndpoint(socket.wire, bytes)
    socket.onBinary = () => end.arrived()
    socket.onClose = (code) => end.onEnd(`closed with ${code}`)
    return end
  })
  return pairOf(near, far, [sockets[0].wire, sockets[1].wire])
}

/** The far end is this process, as the server behind the proxy. Its frames come masked, as the client sent them. */
async function wsProxyLink(target: Target, { messageBytes }: LinkSize): Promise<Pair> {
  const { bytes } = maskedFrame(BINARY, randomBytes(messageBytes))
  let farReader: FrameReader | undefined
  const accepted = nextBackend(async (wire) => {
    await readUntil(wire, '\r\n\r\n', (read, length) => farReader?.feed(read, length))
    wire.write(
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        // Nobody here checks the answer to the key; a proxy does not either.
        'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n',
    )
    return wire
  })
  const socket = await WebSocketWire.connect(target, '/')
  const farWire = await accepted
  const near = new StreamEndpoint(socket.wire, bytes)
  socket.onBinary = () => near.arrived()
  socket.onClose = (code) => near.onEnd(`closed with ${code}`)
  const far = new StreamEndpoint(farWire, bytes)
  const ignore = () => {}
  farReader = new FrameReader({ binary: () => far.arrived(), text: ignore, closed: ignore, ping: ignore })
  return pairOf(near, far, [socket.wire, farWire])
}

async function tcpProxyLink(target: Target, { messageBytes }: LinkSize): Promise<Pair> {
  const accepted = nextBackend(async (wire) => wire)
  const nearWire = await Wire.connect(target)
  // Some proxies connect to the other side only when there is something to pass on.
  const farWire = await accepted
  return rawPair(nearWire, farWire, messageBytes)
}

/** Two connections that say where they want to meet, and hear when the other is there. */
async function meetingLink(
  target: Target,
  { messageBytes }: LinkSize,
  prefix: () => string,
  greeting: (side: string) => string = (() => {
    const id = prefix()
    return () => id
  })(),
): Promise<Pair> {
  const wires = await Promise.all([Wire.connect(target), Wire.connect(target)])
  for (const wire of wires) wire.write(greeting(randomBytes(8).toString('hex')))
  await Promise.all(wires.map((wire) => readUntil(wire, 'ok\n', () => {})))
  return rawPair(wires[0], wires[1], messageBytes)
}

async function httpPipeLink(target: Target, { messageBytes, messages }: LinkSize): Promise<Pair> {
  const path = `/${randomBytes(8).toString('hex')}`
  const host = `${target.host}:${target.port}`
  const [nearWire, farWire] = await Promise.all([Wire.connect(target), Wire.connect(target)])
  const template = randomBytes(messageBytes)
  const near = new StreamEndpoint(nearWire, template)
  const far = new StreamEndpoint(farWire, template)
  const count = counter(messageBytes, () => far.arrived())
  farWire.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
  // Its head comes with the first byte of the body, so nobody can wait for it here.
  const answered = readUntil(farWire, '\r\n\r\n', count)
  nearWire.write(`PUT ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${messageBytes * messages}\r\n\r\n`)
  const pair = pairOf(near, far, [nearWire, farWire])
  answered.then(
    (head) => head.startsWith('HTTP/1.1 200') || near.onEnd(`it answered ${head.split('\r\n')[0]}`),
    (error: Error) => near.onEnd(error.message),
  )
  return pair
}

/** Pub/sub has no back-pressure: the two ends share a credit in this process. */
async function redisLink(target: Target, { messageBytes }: LinkSize): Promise<Pair> {
  const wires = await Promise.all([0, 1, 2, 3].map(() => Wire.connect(target)))
  const [nearOut, nearIn, farOut, farIn] = wires as [Wire, Wire, Wire, Wire]
  const [forth, back] = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')]
  const payload = randomBytes(messageBytes)
  const [forthCredit, backCredit] = [new Credit(messageBytes), new Credit(messageBytes)]
  const near = new StreamEndpoint(nearOut, published(forth, payload), { out: forthCredit, in: backCredit })
  const far = new StreamEndpoint(farOut, published(back, payload), { out: backCredit, in: forthCredit })
  const unit = `*3\r\n$7\r\nmessage\r\n$16\r\n${forth}\r\n$${messageBytes}\r\n`.length + messageBytes + 2
  const subscribe = (wire: Wire, channel: string, end: StreamEndpoint) => {
    wire.write(`*2\r\n$9\r\nSUBSCRIBE\r\n$16\r\n${channel}\r\n`)
    return readUntil(
      wire,
      ':1\r\n',
      counter(unit, () => end.arrived()),
    )
  }
  await Promise.all([subscribe(farIn, forth, far), subscribe(nearIn, back, near)])
  return pairOf(near, far, wires)
}

function published(channel: string, payload: Buffer): Buffer {
  const head = `*3\r\n$7\r\nPUBLISH\r\n$16\r\n${channel}\r\n$${payload.length}\r\n`
  return Buffer.concat([Buffer.from(head), payload, Buffer.from('\r\n')])
}

function rawPair(nearWire: Wire, farWire: Wire, messageBytes: number): Pair {
  const template = randomBytes(messageBytes)
  const ends = [nearWire, farWire].map((wire) => {
    const end = new StreamEndpoint(wire, template)
    wire.onBytes = counter(messageBytes, () => end.arrived())
    return end
  })
  return pairOf(ends[0], ends[1], [nearWire, farWire])
}

function pairOf(near: Endpoint | undefined, far: Endpoint | undefined, wires: readonly Wire[]): Pair {
  if (!near || !far) throw new Error('a link has two ends')
  let closing = false
  for (const wire of wires) {
    const before = wire.onClose
    wire.onClose = (error) => {
      before(error)
      if (!closing) near.onEnd(error?.message ?? 'the connection ended')
    }
  }
  return {
    near,
    far,
    close: async () => {
      closing = true
      for (const wire of wires) wire.destroy()
    },
  }
}

/** Calls `whole` for each `unit` of bytes that came. */
function counter(unit: number, whole: () => void): (bytes: Buffer, length: number) => void {
  let have = 0
  return (_bytes, length) => {
    have += length
    while (have >= unit) {
      have -= unit
      whole()
    }
  }
}

function nextBackend(prepare: (wire: Wire) => Promise<Wire>): Promise<Wire> {
  return new Promise((resolve, reject) => {
    onBackend = (wire) => {
      onBackend = (unexpected) => unexpected.destroy()
      prepare(wire).then(resolve, reject)
    }
  })
}
