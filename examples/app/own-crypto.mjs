// examples/app/own-crypto.mjs: PROTOCOL.md, section 14, over HTTP and without the SDK
import {
  createCipheriv,
  createDecipheriv,
  createECDH,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'

/** A suite byte of our own, 80 to ff, and the name of this app: no other app is taken for it. */
const PROFILE = Buffer.from('\x80lumen1', 'latin1')
const profile = PROFILE.toString('base64url')
const KEY_BYTES = 33

/** A role of a session at a relay: the sender, or its one receiver. */
class Role {
  /** @type {string | undefined} the relay's name for the attach */
  #attachment
  #sent = 0
  #taken = 0
  constructor(/** @type {string} */ relay, /** @type {{ sessionId: string, token: string }} */ { sessionId, token }) {
    this.sessionId = sessionId
    this.token = token
    this.url = `${relay}/v1/sessions/${sessionId}`
  }

  async attach() {
    const view = await (await call('PUT', `${this.url}/attachment`, this.token, { channels: [] })).json()
    this.#attachment = view.attachment
    return view
  }

  /** The next view, which comes when something has happened, or after 25 s. */
  async next(/** @type {any} */ { version }) {
    const seen = `version=${encodeURIComponent(version)}&waitMs=25000`
    const channels = `channels=1.${this.#taken}.${this.#sent}&attachment=${this.#attachment}`
    const view = await (await call('GET', `${this.url}?${seen}&${channels}`, this.token)).json()
    if (view.state !== 'open') throw new Error(`The session has ended: ${view.reason}.`)
    return view
  }

  async send(/** @type {Buffer} */ bytes) {
    await call('PUT', this.#frame(++this.#sent), this.token, bytes)
  }

  /** The next frame of the other side, which is acked. It may be anything: authenticate it. */
  async take() {
    for (let view = { version: '' }; ; view = await this.next(view)) {
      const answer = await call('GET', this.#frame(this.#taken + 1), this.token)
      if (answer.status === 204) continue
      const bytes = Buffer.from(await answer.arrayBuffer())
      await call('DELETE', this.#frame(++this.#taken), this.token)
      return bytes
    }
  }

  #frame(/** @type {number} */ seq) {
    return `${this.url}/channels/1/frames/${seq}?attachment=${this.#attachment}`
  }
}

/** Asks a relay. Never follows a redirect: the token would go along. */
async function call(
  /** @type {string} */ method,
  /** @type {string} */ url,
  /** @type {string | undefined} */ token,
  /** @type {unknown} */ body = undefined,
) {
  const type = body instanceof Uint8Array ? 'application/octet-stream' : 'application/json'
  const answer = await fetch(url, {
    method,
    redirect: 'error',
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': type }),
    },
    ...(body !== undefined && { body: body instanceof Uint8Array ? new Uint8Array(body) : JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`The relay refused: ${(await answer.json()).code}.`)
  return answer
}

/** Everything that both sides have to agree on. What a relay changes of it changes the tags and the keys. */
function infoOf(/** @type {string} */ sessionId, /** @type {any} */ { receiverCode, publicKey, profile: theirs }) {
  const [session, key, other] = [sessionId, publicKey, theirs].map((text) => Buffer.from(text, 'base64url'))
  return Buffer.concat([Buffer.from('lumen\0'), session, Buffer.from(receiverCode), PROFILE, other, key])
}

function tagOf(/** @type {Buffer} */ secret, /** @type {string} */ role, /** @type {Buffer[]} */ ...parts) {
  return createHmac('sha256', secret).update(role).update(Buffer.concat(parts)).digest()
}

function requireTag(/** @type {Buffer} */ seen, /** @type {Buffer} */ expected) {
  if (seen.length !== expected.length || !timingSafeEqual(seen, expected))
    throw new Error('The other side has not seen the QR code.')
}

/** A key for each direction. A nonce is used once: a frame's number, under a key that no other session has. */
function sealsOf(/** @type {Buffer} */ shared, /** @type {Buffer} */ secret, /** @type {Buffer} */ info) {
  const keys = Buffer.from(hkdfSync('sha256', shared, secret, info, 64))
  const nonceOf = (/** @type {number} */ seq) => Buffer.from(seq.toString(16).padStart(24, '0'), 'hex')
  return [keys.subarray(0, 32), keys.subarray(32)].map((key) => ({
    seal(/** @type {number} */ seq, /** @type {Buffer} */ plain) {
      const cipher = createCipheriv('aes-256-gcm', key, nonceOf(seq))
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    open(/** @type {number} */ seq, /** @type {Buffer} */ sealed) {
      const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(seq))
      decipher.setAuthTag(sealed.subarray(-16))
      return Buffer.concat([decipher.update(sealed.subarray(0, -16)), decipher.final()])
    },
  }))
}

/** The device with something to hand over. Resolves with the other device's last word. */
export async function give(
  /** @type {string} */ relay,
  /** @type {(qr: { senderCode: string, secret: Buffer }) => void} */ show,
  /** @type {Buffer} */ payload,
) {
  const secret = randomBytes(16)
  const senderCode = randomBytes(16).toString('base64url')
  const request = { clientId: randomBytes(6).toString('base64url'), senderCode, profile }
  const role = new Role(relay, await (await call('POST', `${relay}/v1/sessions`, undefined, request)).json())
  let view = await role.attach()
  show({ senderCode, secret })
  while (!view.receivers.some((/** @type {any} */ { state }) => state === 'pending')) view = await role.next(view)
  const row = view.receivers.find((/** @type {any} */ { state }) => state === 'pending')
  const decision = `${role.url}/receivers/${row.receiverCode}/decision`
  const key = createECDH('prime256v1')
  key.generateKeys()
  const own = key.getPublicKey(null, 'compressed')
  const info = infoOf(role.sessionId, row)
  try {
    if (row.profile !== profile) throw new Error('Another app has joined.')
    requireTag(await role.take(), tagOf(secret, 'receiver', info))
  } catch (error) {
    await call('PUT', decision, role.token, { decision: 'denied', reason: 'handshake_failed' })
    throw error
  }
  await role.send(Buffer.concat([own, tagOf(secret, 'sender', info, own)]))
  // The QR code authenticates both keys, so no person is asked.
  await call('PUT', decision, role.token, { decision: 'approved' })
  const shared = key.computeSecret(Buffer.from(row.publicKey, 'base64url'))
  const [out, back] = sealsOf(shared, secret, Buffer.concat([info, own]))
  await role.send(out.seal(2, payload))
  const word = back.open(2, await role.take())
  await call('DELETE', role.url, role.token)
  return word
}

/** The device that has scanned the QR code. Resolves with what it was given, once `lastWord` is on its way. */
export async function take(
  /** @type {string} */ relay,
  /** @type {{ senderCode: string, secret: Buffer }} */ { senderCode, secret },
  /** @type {Buffer} */ lastWord,
) {
  const key = createECDH('prime256v1')
  const publicKey = key.generateKeys('base64url', 'compressed')
  const row = { receiverCode: randomBytes(12).toString('base64url'), publicKey, profile }
  const joined = await (await call('POST', `${relay}/v1/receivers`, undefined, { senderCode, ...row })).json()
  if (joined.profile !== profile) throw new Error('Another app has shown this code.')
  const role = new Role(relay, joined)
  await role.attach()
  const info = infoOf(role.sessionId, row)
  await role.send(tagOf(secret, 'receiver', info))
  const answer = await role.take()
  const theirs = answer.subarray(0, KEY_BYTES)
  requireTag(answer.subarray(KEY_BYTES), tagOf(secret, 'sender', info, theirs))
  const [incoming, back] = sealsOf(key.computeSecret(theirs), secret, Buffer.concat([info, theirs]))
  const payload = incoming.open(2, await role.take())
  await role.send(back.seal(2, lastWord))
  return payload
}
