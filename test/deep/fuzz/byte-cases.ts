import { encodeData } from '../../../src/protocol/frame.ts'
import { BINARY, CLOSE, PING, TEXT, wsFrame } from '../../conformance/raw.ts'

/** Faults below a client's messages, and their close codes in RFC 6455. */
export interface ByteCase {
  readonly what: string
  readonly bytes: () => Buffer
  /** `cut`: the relay closes nothing, and the connection ends when the client ends it. */
  readonly code: number | 'cut'
  readonly pongs?: readonly string[]
  /** How many data frames still reach the peer. */
  readonly delivers?: number
}

export const MAX_FRAME_BYTES = 200_000
const data = (seq: number) => encodeData(1, seq, Buffer.from(`frame ${seq}`))
const good = () => wsFrame(BINARY, data(1))

/** Behind a frame that is right and in front of one that would be, had the socket not been closed. */
function between(what: string, code: number, ...bad: Buffer[]): ByteCase {
  return { what, code, bytes: () => Buffer.concat([good(), ...bad, wsFrame(BINARY, data(2))]), delivers: 1 }
}

export const CASES: readonly ByteCase[] = [
  { what: 'a frame and nothing else', bytes: good, code: 'cut', delivers: 1 },
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => between(`opcode ${opcode}`, 1002, wsFrame(opcode, 'x'))),
  ...[0x40, 0x20, 0x10].map((bit) =>
    between(`reserved bit ${bit.toString(16)}`, 1002, wsFrame(BINARY, data(2), { flags: 0x80 | bit })),
  ),
  between('a ping with a reserved bit', 1002, wsFrame(PING, 'x', { flags: 0xc0 })),
  between('a frame without a mask', 1002, wsFrame(BINARY, data(2), { masked: false })),
  between('a ping without a mask', 1002, wsFrame(PING, '', { masked: false })),
  between('a ping of 126 bytes', 1002, wsFrame(PING, 'x'.repeat(126))),
  between('a ping in two parts', 1002, wsFrame(PING, 'x', { flags: 0 })),
  between('a continuation of nothing', 1002, wsFrame(0, data(2))),
  between('a new message within another', 1002, wsFrame(BINARY, 'x', { flags: 0 }), wsFrame(BINARY, data(2))),
  between('a text within a message', 1002, wsFrame(BINARY, 'x', { flags: 0 }), wsFrame(TEXT, '{}')),
  between('text that is not UTF-8', 1007, wsFrame(TEXT, Buffer.from([0xc3, 0x28]))),
  between('text', 4400, wsFrame(TEXT, '{}')),
  between('an empty message', 4400, wsFrame(BINARY, '')),
  between('an empty message in two parts', 4400, wsFrame(BINARY, '', { flags: 0 }), wsFrame(0, '')),
  between('a message one byte too long', 1009, wsFrame(BINARY, Buffer.alloc(MAX_FRAME_BYTES + 1))),
  between('a declared length of 2^20, and nothing', 1009, wsFrame(BINARY, '', { declared: 2 ** 20 })),
  between('a declared length of 2^53, and nothing', 1009, wsFrame(BINARY, '', { declared: 2 ** 53 })),
  between('a declared length of 2^64 - 1, and nothing', 1009, wsFrame(BINARY, '', { declared: 2n ** 64n - 1n })),
  between('a declared length with the top bit', 1009, wsFrame(BINARY, '', { declared: 2n ** 63n })),
  between(
    'parts that are too long together',
    1009,
    wsFrame(BINARY, Buffer.alloc(MAX_FRAME_BYTES), { flags: 0 }),
    wsFrame(0, Buffer.alloc(1)),
  ),
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535].map((code) =>
    between(`a close with code ${code}`, 1002, wsFrame(CLOSE, Buffer.from([code >> 8, code & 0xff]))),
  ),
  between('a close of one byte', 1002, wsFrame(CLOSE, 'x')),
  between('a close whose reason is not UTF-8', 1007, wsFrame(CLOSE, Buffer.from([3, 232, 0xff]))),
  between('a close with a code', 1000, wsFrame(CLOSE, Buffer.from([3, 232]))),
  between('a close with a code of its own', 4999, wsFrame(CLOSE, Buffer.from([19, 135, 0x78]))),
  between('a close without a code', 1005, wsFrame(CLOSE, '')),
  {
    what: 'a message in parts with pings between them',
    code: 'cut',
    delivers: 2,
    pongs: ['first', 'second'],
    bytes: () =>
      Buffer.concat([
        wsFrame(BINARY, data(1).subarray(0, 1), { flags: 0 }),
        wsFrame(PING, 'first'),
        wsFrame(0, data(1).subarray(1, 9), { flags: 0 }),
        wsFrame(0, '', { flags: 0 }),
        wsFrame(PING, 'second'),
        wsFrame(0, data(1).subarray(9)),
        wsFrame(BINARY, data(2)),
      ]),
  },
  {
    what: 'a message that never ends',
    code: 'cut',
    delivers: 1,
    bytes: () => Buffer.concat([good(), wsFrame(BINARY, 'x', { declared: 100 })]),
  },
  {
    what: 'half a head',
    code: 'cut',
    delivers: 1,
    bytes: () => Buffer.concat([good(), wsFrame(BINARY, data(2), { lengthBytes: 8 }).subarray(0, 7)]),
  },
  {
    what: 'what is said behind a close',
    code: 1000,
    bytes: () => Buffer.concat([wsFrame(CLOSE, Buffer.from([3, 232])), good(), wsFrame(PING, 'x')]),
  },
]
