import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { encodeHead, type Head } from '../../src/client/transfer/kinds.ts'
import { digestOf, proofOf } from '../../src/crypto/resume.ts'
import { messageKey, StreamSealer } from '../../src/crypto/stream.ts'

/** Known answers of PROTOCOL.md, sections 11 and 12.1, under the keys of its first handshake. */

const protocol = await readFile(new URL('../../PROTOCOL.md', import.meta.url), 'utf8')
const hex = (text: string) => Buffer.from(text, 'hex')
const documented = (name: string) => {
  const [, value] = new RegExp(`^\\| ${name} \\| \`([0-9a-f]+)\` \\|$`, 'm').exec(protocol) ?? []
  return hex(value ?? '')
}

describe('resume', () => {
  const token = hex('000102030405060708090a0b0c0d0e0f')

  test('the hint of a token and the answer to it are those of PROTOCOL.md', () => {
    const secret = documented('E\\("resume", 32\\)')
    expect(Buffer.from(proofOf(token, 'resume', secret)).toString('base64url')).toBe('hVv9tZumfXxru45r9NGMkQ')
    expect(proofOf(token, 'resume', secret)).toEqual(new Uint8Array(documented('hint of the token `00 … 0f`')))
    expect(proofOf(token, 'resumed', secret)).toEqual(new Uint8Array(documented('answered, of the same')))
  })

  test.each([
    ['digest of `hello` and a line feed', 'hello\n'],
    ['digest of 1,048,577 × `61`', 'a'.repeat(1_048_577)],
  ])('the %s is that of PROTOCOL.md, however the bytes come', async (name, text) => {
    for (const step of [100_003, 1_048_576, text.length]) {
      const pieces = async function* () {
        for (let at = 0; at < text.length; at += step) yield Buffer.from(text.slice(at, at + step))
      }
      expect(await digestOf(pieces())).toEqual(new Uint8Array(documented(name)))
    }
  })
})

test('the frames of the plain pairing in PROTOCOL.md are what is sealed', () => {
  const rows = [
    ...protocol.matchAll(/^\s+message (\d) `(\{"kind".*\})`(?: ‖ `(.*)\\n`)?, (s2r|r2s).*: `([0-9a-f]{64})`$/gm),
  ]
  expect(rows).toHaveLength(9)
  for (const [, index, head, body, direction, sha256] of rows) {
    const bytes = Buffer.from(body === undefined ? '' : `${body}\n`)
    const plaintext = Buffer.concat([encodeHead(JSON.parse(head) as Head, bytes.length), bytes])
    const sealer = new StreamSealer(messageKey(documented(`t_${direction}`), Number(index)))
    const frame = sealer.sealFrame(plaintext, true)
    expect(createHash('sha256').update(frame).digest('hex'), head).toBe(sha256)
  }
})
