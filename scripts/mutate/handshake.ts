// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are pieces of source text
import { messages, operator, wrongCode } from './files.ts'
import { protection } from './mutation.ts'

const middle = protection('test/deep/adversary/middle.test.ts')
const wipe = protection('test/deep/adversary/wipe.test.ts')
const order = protection('test/crypto/handshake-order.test.ts')
const vectors = protection('test/crypto/handshake-vectors.test.ts')

const CHANCE = 'has two equal numbers by chance alone'
const FLOODS = 'gets 8 handshakes at once'
const TAGS = 'gets at most three tags of one code'
const KNOWN = 'has every message, byte by byte'

const ADA = 'lv(`${LABEL}sender`, profile, sessionId, publicKey, senderCommitment, receiverCommitment, mlKemCiphertext)'
const ADB = 'lv(`${LABEL}receiver`, profile, receiverCode, publicKey, nonce, mlKemPublicKey)'
const without = (text: string, field: string): readonly [string, string] => [text, text.replace(field, '')]

export const HANDSHAKE = [
  operator('check of commit_R at the sender', 'swap commit_R, against the sender', [
    'if (!nacl.verify(commitReceiver(Yb, exchange.ADb), state.receiverCommitment)) throw new HandshakeError()',
    '',
  ]),
  operator('comparison of T_R', 'swap T_R, against the sender', [
    'if (!nacl.verify(keys.confirmReceiver(), receiverTag)) throw new HandshakeError(true)',
    '',
  ]),
  middle('check of commit_S at the receiver', CHANCE, [
    'if (!nacl.verify(commitSender(nonce), state.senderCommitment)) throw new HandshakeError()',
    '',
  ]),
  operator('comparison of T_S', 'swap T_S, against the receiver', [
    'if (!nacl.verify(keys.confirmSender(state.receiverTag, nonce), senderTag)) throw new HandshakeError()',
    '',
  ]),
  operator('a wrong T_R counts as a guess', 'swap T_R, against the sender', [
    'receiverTag)) throw new HandshakeError(true)',
    'receiverTag)) throw new HandshakeError()',
  ]),
  operator('a broken commitment does not', 'swap commit_R, against the sender', [
    'state.receiverCommitment)) throw new HandshakeError()',
    'state.receiverCommitment)) throw new HandshakeError(true)',
  ]),
  wrongCode(
    'a second m2 is not answered',
    'a second m2 is never answered',
    [
      "const state = this.#state if (state.awaits !== 'm2') throw new HandshakeError()",
      'const state = ((this as any).m2 ??= this.#state)',
    ],
    [
      'const m4 = await this.#steps.receive(STEP, timedOut)',
      `let m4 = await this.#steps.receive(STEP, timedOut)
      while (m4.length === 1184) {
        await this.#steps.send(handshake.answerM2(m4))
        m4 = await this.#steps.receive(STEP, timedOut)
      }`,
    ],
  ),
  order('a second m1 is not answered', 'never answers a second m1', [
    "const state = this.#state if (state.awaits !== 'm1') throw new HandshakeError()",
    'const state = ((this as any).m1 ??= this.#state)',
  ]),
  messages('a resent m3 is the stored bytes', TAGS, [
    'this.#send(next.bytes, next.events.onSent)',
    'this.#send(next.bytes.length === 72 ? next.bytes.map((byte, i) => (i < 40 ? byte : Math.random() * 256)) : next.bytes, next.events.onSent)',
  ]),
  operator(
    'the identity is neither a point nor a product',
    'the identity as point, against the sender',
    ["if (decoded.is0()) throw new RangeError('the point is the identity')", ''],
    ["if (product.is0()) throw new RangeError('the product is the identity')", ''],
  ),
  operator('points that do not decode', 'a point that does not decode, against the sender', [
    'const decoded = ristretto255.Point.fromBytes(point)',
    `const decode = () => {
      try {
        return ristretto255.Point.fromBytes(point)
      } catch {
        return ristretto255.Point.BASE
      }
    }
    const decoded = decode()`,
  ]),
  operator('low-order X25519', 'X25519 of low order, Invalid Y0, against the sender', [
    "if (nacl.verify(dh, new Uint8Array(32))) throw new RangeError('the X25519 key is of low order')",
    '',
  ]),
  operator('length of a message', 'm1, a byte more, against the sender', [
    'if (message.length !== end) throw new RangeError(`a message has ${message.length} bytes instead of ${end}`)',
    '',
  ]),
  operator('modulus check of ek', 'ML-KEM key outside the modulus, against the sender', [
    'const kem = ml_kem768.encapsulate(mlKemPublicKey, this.#secrets.draw(random, 32))',
    `const encapsulate = () => {
      const drawn = this.#secrets.draw(random, 32)
      try {
        return ml_kem768.encapsulate(mlKemPublicKey, drawn)
      } catch {
        return { cipherText: new Uint8Array(1088), sharedSecret: new Uint8Array(32) }
      }
    }
    const kem = encapsulate()`,
  ]),
  order('canonical spelling of the session id', 'is no session id', [
    "if (encodeBase64Url(bytes) !== text) throw new CodecError('the text is not base64url')",
    '',
  ]),
  order('shape of the receiver code', 'is no receiver code', [
    "if (!isCrockford(receiverCode, 6)) throw new RangeError('not a receiver code')",
    '',
  ]),
  order('X_R is copied when first seen', 'does not follow a buffer that is used again', [
    'const receiverPublicKey = options.receiverPublicKey.slice()',
    'const { receiverPublicKey } = options',
  ]),
  wrongCode('n_R is new in the session', 'a nonce that was used in this session before is not answered', [
    'if (!isNewNonce(m1.subarray(0, NONCE_BYTES))) throw new HandshakeError()',
    '',
  ]),
  operator('the secret half in the generator', 'a relay that guesses, against the sender', [
    'const input = lv(DOMAIN, password, new Uint8Array(padding), channel, sid)',
    "const input = lv(DOMAIN, '', new Uint8Array(padding), channel, sid)",
  ]),
]

export const HASHED = [
  vectors('suite byte in ADa', KNOWN, without(ADA, 'profile, ')),
  vectors('suite byte in ADb', KNOWN, without(ADB, 'profile, ')),
  operator('session id in ADa', 'swap session id, against the receiver', without(ADA, 'sessionId, ')),
  operator('X_S in ADa', 'spell X_S in another way, against the receiver', without(ADA, 'publicKey, ')),
  operator('commit_S in ADa', 'swap commit_S, against the receiver', without(ADA, 'senderCommitment, ')),
  vectors('commit_R in ADa', KNOWN, without(ADA, 'receiverCommitment, ')),
  vectors('ct in ADa', KNOWN, without(ADA, ', mlKemCiphertext')),
  operator('receiver code in ADb', 'swap receiver code, against the sender', without(ADB, 'receiverCode, ')),
  operator('X_R in ADb', 'spell X_R in another way, against the sender', without(ADB, 'publicKey, ')),
  operator('n_R in ADb', 'swap n_R, against the sender', without(ADB, 'nonce, ')),
  operator('ek in ADb', 'swap ek, against the sender', without(ADB, ', mlKemPublicKey')),
  operator(
    'locator in CI',
    'swap locator, against the sender',
    without("'sender', 'receiver', locator, receiverCode", 'locator, '),
  ),
  vectors('receiver code in CI', KNOWN, without("'sender', 'receiver', locator, receiverCode", ', receiverCode')),
  vectors('n_R in sid', KNOWN, without('lv(`${LABEL}sid`, receiverNonce)', ', receiverNonce')),
  operator('Yb in commit_R', 'swap Yb, against the sender', without('lv(`${LABEL}commit`, Yb, ADb)', 'Yb, ')),
  operator('ADb in commit_R', 'swap n_R, against the sender', without('lv(`${LABEL}commit`, Yb, ADb)', ', ADb')),
  middle('n_S in commit_S', CHANCE, without('lv(`${LABEL}commit sender`, senderNonce)', ', senderNonce')),
  middle(
    'n_S in the match number',
    CHANCE,
    without('lv(`${LABEL}sas`, this.#transcriptHash, senderNonce)', ', senderNonce'),
  ),
  vectors('T_R in T_S', KNOWN, without('(this.#transcriptHash, receiverTag, senderNonce)', 'receiverTag, ')),
  vectors('n_S in T_S', KNOWN, without('(this.#transcriptHash, receiverTag, senderNonce)', ', senderNonce')),
  vectors('dh in PRK', KNOWN, without('concatBytes(shared.isk, shared.dh, shared.kem)', 'shared.dh, ')),
  vectors('kem in PRK', KNOWN, without('concatBytes(shared.isk, shared.dh, shared.kem)', ', shared.kem')),
  vectors('a label for each tag', KNOWN, ["this.#mac('confirm sender',", "this.#mac('confirm receiver',"]),
  operator('a key for each direction', 'forge acks and drop the receipt, against the receiver', [
    "this.#expand('traffic r2s', 64)",
    "this.#expand('traffic s2r', 64)",
  ]),
]

const EMITTED = 'emittedTags.set(code.text, emitted)'

export const BUDGETS = [
  operator('five guesses (six)', 'swap T_R, against the sender', [
    'export const WRONG_GUESSES_MAX = 5',
    'export const WRONG_GUESSES_MAX = 6',
  ]),
  operator('wrong guesses are counted', 'swap T_R, against the sender', ['this.#wrongGuesses++', '']),
  messages('… before the next m3 is looked at', FLOODS, [
    "this.#state = 'wrong_guess' onWrongGuess()",
    "this.#state = 'wrong_guess'\nsetTimeout(onWrongGuess)",
  ]),
  messages('a run that has ended looks at no m3', FLOODS, [
    'this.#requireAlive() const { m4, peer }',
    'const { m4, peer }',
  ]),
  messages('retiring the code ends runs that are not verified', FLOODS, [
    "for (const run of this.#runs.values()) if (!run.verified) run.end(new PairingError('session_full'))",
    '',
  ]),
  messages(
    'a success gives no guess back',
    FLOODS,
    ['this.#verified.push(run)', 'this.#verified.push(run)\n;(this.#slots as any).forgive()'],
    [
      'countWrongGuess(): void { this.#wrongGuesses++ }',
      'countWrongGuess(): void { this.#wrongGuesses++ }\nforgive(): void { this.#wrongGuesses = 0 }',
    ],
  ),
  operator(
    'a retired code starts no run, and gives no place',
    'swap T_R, against the sender',
    ["if (this.#code === 'retired' || this.#slots.usedUp) {", "if (this.#code === 'used_up') {"],
    ['void courtesy(environment, api.retireCode(session))', ''],
  ),
  messages('a run that spent no guess gives its place back', FLOODS, ['if (!guessSpent) this.#taken--', '']),
  operator('8 pending receivers in a view', 'show receivers that do not exist, against the sender', [
    '|| pending.length > PENDING_MAX',
    '',
  ]),
  messages('tag budget at m3', FLOODS, [
    "if (emitted > EMITTED_TAGS_MAX) throw new PairingError('attempts_used_up')",
    '',
  ]),
  messages('tags are counted', TAGS, [EMITTED, '']),
  messages(
    '… when sent, not when acked',
    TAGS,
    [EMITTED, ''],
    [
      'const m4 = await this.#steps.receive(STEP, timedOut)',
      `const m4 = await this.#steps.receive(STEP, timedOut)\n${EMITTED}`,
    ],
  ),
  operator('a success gives no tag back', 'drop the approval and what follows, against the receiver', [
    'const peer = handshake.finish(m4)',
    'const peer = handshake.finish(m4)\nemittedTags.delete(code.text)',
  ]),
  operator('time-outs of m1 and m3', 'drop m3, against the sender', [
    "() => this.end(new PairingError('handshake_timeout'))",
    '() => {}',
  ]),
  operator('time-out of m4', 'delay m4 past the deadline, against the receiver', [
    "() => this.connection.end(new PairingError('handshake_timeout'))",
    '() => {}',
  ]),
  operator('time-outs pause while somebody is away', 'say that nobody is present any more, against the sender', [
    'this.#pause() this.#bothPresent = bothPresent',
    'this.#bothPresent = bothPresent',
  ]),
]

export const LEFT = [
  operator('secrets of a run are wiped', 'swap n_R, against the sender', [
    'for (const bytes of this.#held.splice(0)) bytes.fill(0)',
    'this.#held.splice(0)',
  ]),
  operator('the sender wipes a run that ended', 'drop m3, against the sender', ['handshake?.wipe()', '']),
  operator('the receiver wipes a run that ended', 'drop m4, against the receiver', [
    'this.#steps.stop() handshake.wipe()',
    'this.#steps.stop()',
  ]),
  operator('traffic secrets of a device that has ended', 'swap n_S, against the receiver', [
    'for (const key of [sendKey, receiveKey, resumeSecret]) key.fill(0)',
    '',
  ]),
  wipe('message keys once they are copied', 'after a transfer', [
    'const sealer = new StreamSealer(key) key.fill(0)',
    'const sealer = new StreamSealer(key)',
  ]),
  wipe('message keys of a reader that ends', 'after truncate after 1 of 3 chunks, close, against the receiver', [
    'opener?.wipe() trafficSecret.fill(0)',
    'trafficSecret.fill(0)',
  ]),
  operator('added: the secret half as the device’s name', 'swap n_R, against the sender', [
    'name === undefined ? asked : { ...asked, name }',
    '{ ...asked, name: code.text.slice(-6) }',
  ]),
  operator('added: chunks in the clear', 'truncate after 0 of 3 chunks, close, against the receiver', [
    'this.#aead.seal(this.#key, nonce, chunk, output)',
    '{\nthis.#aead.seal(this.#key, nonce, chunk, output)\noutput.set(chunk)\n}',
  ]),
  operator('added: the match number beside the approval', 'drop the end and what follows, against the receiver', [
    "{ decision: 'approved' })",
    "{ decision: 'approved', number: run.peer.matchNumber } as never)",
  ]),
]
