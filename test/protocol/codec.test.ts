import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  ciphertextOf,
  decodeFrame,
  encodeAck,
  encodeData,
  FRAME_ACK,
  FRAME_DATA,
  writeFrameHeader,
} from '../../src/protocol/frame.ts'
import { SEQ_MAX } from '../../src/protocol/limits.ts'
import { CodecError, decodeBase64Url, encodeBase64Url, parseJson, utf8Length } from '../../src/protocol/text.ts'
import { holds } from '../support/property.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytes = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'))

const channel = fc.integer({ min: 1, max: 0xffff })
const seq = fc.oneof(fc.integer({ min: 1, max: SEQ_MAX }), fc.constantFrom(1, 0x7fff_ffff, 0x8000_0000, SEQ_MAX))

describe('frames', () => {
  test('have the documented bytes', () => {
    expect(hex(encodeData(1, 1, bytes('2a')))).toBe('01000001000000012a')
    expect(hex(encodeData(0x1234, 0x89abcdef, bytes('00ff10')))).toBe('0100123489abcdef00ff10')
    expect(hex(encodeData(0xffff, SEQ_MAX, bytes('00')))).toBe('0100ffffffffffff00')
    expect(hex(encodeAck(1, 0))).toBe('0200000100000000')
    expect(hex(encodeAck(1, 40))).toBe('0200000100000028')
    expect(hex(encodeAck(0xffff, SEQ_MAX))).toBe('0200ffffffffffff')
  })

  holds(
    'come back from data as they went in, as a view of the very bytes',
    300,
    fc.record({ channel, seq, ciphertext: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
    ({ channel, seq, ciphertext }) => {
      const encoded = encodeData(channel, seq, ciphertext)
      const frame = decodeFrame(encoded)
      expect({ ...frame, bytes: undefined }).toEqual({ type: FRAME_DATA, channel, seq, bytes: undefined })
      expect(frame.bytes).toBe(encoded)
      expect(ciphertextOf(frame)).toEqual(ciphertext)
      expect(ciphertextOf(frame).buffer).toBe(encoded.buffer)
    },
  )

  holds(
    'come back from acks as they went in',
    300,
    fc.record({ channel, seq: fc.oneof(seq, fc.constant(0)) }),
    ({ channel, seq }) => {
      expect(decodeFrame(encodeAck(channel, seq))).toMatchObject({ type: FRAME_ACK, channel, seq })
    },
  )

  holds(
    'are read at any offset of a larger buffer, as sockets deliver them',
    100,
    fc.record({
      before: fc.nat({ max: 40 }),
      channel,
      seq,
      ciphertext: fc.uint8Array({ minLength: 1, maxLength: 40 }),
    }),
    ({ before, channel, seq, ciphertext }) => {
      const buffer = new Uint8Array(before + 8 + ciphertext.length + 7).fill(0xee)
      const place = buffer.subarray(before, before + 8 + ciphertext.length)
      writeFrameHeader(place, FRAME_DATA, channel, seq)
      place.set(ciphertext, 8)
      expect(decodeFrame(place)).toMatchObject({ type: FRAME_DATA, channel, seq })
      expect(ciphertextOf(decodeFrame(place))).toEqual(ciphertext)
      expect(hex(buffer.subarray(0, before))).toBe('ee'.repeat(before))
    },
  )

  holds(
    'are either read or refused with CodecError, whatever the bytes',
    1000,
    fc.uint8Array({ maxLength: 20 }),
    (any) => {
      try {
        const frame = decodeFrame(any)
        const again =
          frame.type === FRAME_DATA
            ? encodeData(frame.channel, frame.seq, ciphertextOf(frame))
            : encodeAck(frame.channel, frame.seq)
        expect(hex(again)).toBe(hex(any))
      } catch (error) {
        expect(error).toBeInstanceOf(CodecError)
      }
    },
  )

  const refused: [what: string, bytes: string][] = [
    ['nothing', ''],
    ['one byte', '01'],
    ['seven bytes', '01000001000000'],
    ['type 0', '0000000100000001 2a'],
    ['type 3', '0300000100000001 2a'],
    ['type 255', 'ff00000100000001 2a'],
    ['a second byte that is not 0', '0101000100000001 2a'],
    ['a second byte with its high bit set', '0280000100000001'],
    ['data on channel 0', '0100000000000001 2a'],
    ['an ack on channel 0', '0200000000000001'],
    ['data with seq 0', '0100000100000000 2a'],
    ['data without ciphertext', '0100000100000001'],
    ['an ack with a ninth byte', '0200000100000001 00'],
  ]
  for (const [what, text] of refused) {
    test(`are refused with CodecError when they are ${what}`, () => {
      expect(() => decodeFrame(bytes(text))).toThrow(CodecError)
    })
  }
})

describe('base64url', () => {
  holds('has one text for any bytes, which is Node’s', 300, fc.uint8Array({ maxLength: 100 }), (any) => {
    const text = encodeBase64Url(any)
    expect(text).toBe(Buffer.from(any).toString('base64url'))
    expect(decodeBase64Url(text)).toEqual(any)
  })

  holds(
    'decodes a text only when it is the one the bytes would be written as',
    500,
    fc.string({ unit: fc.constantFrom(...'ABz09_-=+/ \n.é'), maxLength: 12 }),
    (text) => {
      let decoded: Uint8Array
      try {
        decoded = decodeBase64Url(text)
      } catch (error) {
        expect(error).toBeInstanceOf(CodecError)
        return
      }
      expect(encodeBase64Url(decoded)).toBe(text)
    },
  )

  const refused: [what: string, text: string][] = [
    ['padding', 'AA=='],
    ['the alphabet of plain base64', '+/+/'],
    ['a character of neither', 'AA!A'],
    ['a line feed at the end', 'AAAA\n'],
    ['a space', 'AA AA'],
    ['five characters, which no bytes have', 'AAAAA'],
    ['bits behind the last byte', 'AB'],
    ['bits behind the last two bytes', 'AAB'],
    ['a character beyond Latin-1', 'AAA…'],
  ]
  for (const [what, text] of refused) {
    test(`refuses ${what}`, () => {
      expect(() => decodeBase64Url(text)).toThrow(CodecError)
    })
  }
})

describe('JSON from the other side', () => {
  holds('is what it says', 200, fc.jsonValue(), (value) => {
    // A key __proto__ is the one thing refused, see below.
    if (JSON.stringify(value).includes('__proto__')) return
    expect(parseJson(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)))
  })

  const refused = ['', '{', '{"a":1,}', "{'a':1}", 'undefined', 'NaN', '{"a":1}{"b":2}', '\u0000', '[1,]', '{"a":0x1}']
  for (const text of refused) {
    test(`is refused with CodecError when it is ${JSON.stringify(text)}`, () => {
      expect(() => parseJson(text)).toThrow(CodecError)
    })
  }

  for (const text of ['{"__proto__":null}', '{"a":{"__proto__":{"admin":true}}}', '[[{"\\u005f_proto__":1}]]']) {
    test(`with a key __proto__ is refused with CodecError: ${text}`, () => {
      const attacker = () => parseJson(text)
      expect(attacker).toThrow(CodecError)
      expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false)
    })
  }

  test('may say __proto__ as a value', () => {
    expect(parseJson('{"name":"__proto__"}')).toEqual({ name: '__proto__' })
  })

  test('does not tell what it was, or where it broke', () => {
    expect(() => parseJson('{"token":"secret"')).toThrow(/^the text is not JSON$/)
  })
})

describe('the length in UTF-8', () => {
  holds('is Node’s', 200, fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
    expect(utf8Length(text)).toBe(Buffer.byteLength(text))
  })
})
