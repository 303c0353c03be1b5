import { createHash } from 'node:crypto'
import { generator } from '../../../src/crypto/cpace.ts'
import { channelIdentifier, sessionIdentifier } from '../../../src/crypto/transcript.ts'
import type { Outcome } from './scenario.ts'
import { peers, plaintexts, secrets } from './watch.ts'

/** Looks in every byte that a relay was given for what it must not have. */

export interface Needle {
  readonly what: string
  readonly bytes: Uint8Array
}

/** Finds needles: as bytes, in hex, in both kinds of base64, and as text in either case. */
export function find(heard: readonly Uint8Array[], needles: readonly Needle[]): string[] {
  const hay = Buffer.concat(heard.flatMap((each) => [each, Buffer.of(0)]))
  const decoded = Buffer.concat([...heard.map(decodedText), hay])
  return needles.flatMap(({ what, bytes }) => (spellings(bytes).some((each) => decoded.includes(each)) ? [what] : []))
}

/** The strings in texts, decoded: a relay decodes too. */
function decodedText(bytes: Uint8Array): Buffer {
  if (bytes[0] < 0x20) return Buffer.alloc(0)
  const text = Buffer.from(bytes).toString('latin1')
  return Buffer.concat(
    (text.match(/[A-Za-z0-9_-]{8,}/g) ?? []).flatMap((word) => [Buffer.from(word, 'base64url'), Buffer.of(0)]),
  )
}

function spellings(bytes: Uint8Array): Buffer[] {
  const buffer = Buffer.from(bytes)
  const text = buffer.toString('latin1')
  const hex = buffer.toString('hex')
  const isText = /^[\x20-\x7e]+$/.test(text)
  const others = [hex, hex.toUpperCase(), buffer.toString('base64'), buffer.toString('base64url')]
  const cases = isText ? [text.toLowerCase(), text.toUpperCase()] : []
  return [buffer, Buffer.from(bytes).reverse(), ...[...others, ...cases].map((each) => Buffer.from(each))]
}

/** Everything that follows from the secret half and is not sent on purpose. */
export function needlesOf({ code, relay }: Pick<Outcome, 'code' | 'relay'>): Needle[] {
  const [locator, half] = code.split('-')
  const [secret, check] = [half.slice(0, 5), half.slice(5)]
  const text = (what: string, value: string) => ({ what, bytes: Buffer.from(value) })
  const hashes = [secret, `${locator}${secret}`, `${locator}${secret}${check}`, code].flatMap((value) =>
    ['sha1', 'sha256', 'sha512'].map((name) => {
      return { what: `${name} of a secret part`, bytes: createHash(name).update(value).digest().subarray(0, 8) }
    }),
  )
  const nonces = relay.frames.filter(({ seq }) => seq <= 2).map(({ ciphertext }) => ciphertext.subarray(0, 32))
  const generators = relay.frames
    .filter(({ from, seq }) => from === 'receiver' && seq === 1)
    .flatMap(({ guest, ciphertext, meeting }) =>
      [meeting.locator, locator].map((name) => {
        const channel = channelIdentifier(name, guest.ownCode)
        return {
          what: 'the generator',
          bytes: generator(secret, channel, sessionIdentifier(ciphertext.subarray(0, 32))),
        }
      }),
    )
  const isNonce = (bytes: Uint8Array) => nonces.some((each) => Buffer.from(each).equals(bytes))
  return [
    text('the secret half', secret),
    text('the secret half with its check symbol', half),
    text('the code', code),
    text('the code', `${locator}${half}`),
    text('locator and check symbol', `${locator}${check}`),
    text('locator and check symbol', `${locator}-${check}`),
    ...hashes,
    ...generators,
    ...peers.flatMap(({ matchNumber, fingerprint }) => [
      text('a match number', matchNumber),
      text('a match number', `${matchNumber.slice(0, 3)} ${matchNumber.slice(3)}`),
      text('a fingerprint', fingerprint),
    ]),
    // Shorter ones could be there by chance.
    ...plaintexts.filter(({ length }) => length >= 16).map((bytes) => ({ what: 'plaintext', bytes })),
    ...secrets()
      // The receiver code is drawn as six bytes, the pairing code as ten: what they became is looked for above.
      .filter(({ copy }) => copy.length >= 32 && !isNonce(copy))
      .map(({ what, copy }) => ({ what, bytes: copy })),
  ]
}

export const leaks = (outcome: Pick<Outcome, 'code' | 'relay'>): string[] =>
  find(outcome.relay.heard, needlesOf(outcome))
