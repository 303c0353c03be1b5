/** Parts of an HTTP request that somebody, somewhere, has sent. */

export const METHODS = 'GET POST PUT DELETE PATCH HEAD OPTIONS TRACE PROPFIND SEARCH PURGE get FOO CONNECT'.split(' ')

export const TYPES = [
  ...`text/plain application/x-www-form-urlencoded application/json;;; application/jsonx
    application/problem+json APPLICATION/JSON json */* application/json application/octet-stream`.split(/\s+/),
  'multipart/form-data; boundary=x',
  'application/json; charset=utf-16',
  '',
  'application/json, text/plain',
  `application/${'x'.repeat(500)}`,
  'application/octet-stream; charset=utf-8',
]

export const SEGMENTS = [
  ...`../.. . %2e%2e %2F %00 %zz % %c0%af %E2%80%AE ;v=1 * :sessionId __proto__ code socket attachment
    channels/1/frames/1 channels/0/frames/0 4294967296 1.0.0 %F0%9F%92%A5`.split(/\s+/),
  '\\',
  '',
  'a'.repeat(200),
  'a'.repeat(6_000),
  '\u00e9',
]

export const QUERIES = [
  ...`? ?waitMs=-1 ?waitMs=25001 ?waitMs=1&waitMs=2 ?waitMs[]=1 ?waitMs=0x10 ?waitMs=1e1 ?version= ?channels=
    ?channels=1.0.0 ?channels=1.0.0, ?channels=1.0 ?channels=99999.9999999999.9999999999
    ?channels=1.0.0&channels=2.0.0 ?version=1&version=1 ?version[__proto__]=1 ?__proto__[a]=1 ?constructor=1
    ?% ?%00=%00 ?a=%zz #fragment ?x#y`.split(/\s+/),
  `?channels=${'1.0.0,'.repeat(200)}1.0.0`,
  `?version=${'v'.repeat(33)}`,
  `?${'a=1&'.repeat(1_000)}`,
]

export const ODD_HEADERS: readonly [string, string][] = [
  ['Authorization', ''],
  ['Authorization', 'Bearer'],
  ['Authorization', 'Bearer '],
  ['Authorization', `bearer ${'A'.repeat(43)}`],
  ['Authorization', `Bearer  ${'A'.repeat(43)}`],
  ['Authorization', `Bearer ${'A'.repeat(42)}B`],
  ['Authorization', `Bearer ${'A'.repeat(7_000)}`],
  ['Authorization', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
  ['Authorization', '\u00ff\u00fe'],
  ['Accept-Version', '9.x'],
  ['Accept-Encoding', 'gzip, br;q=9'],
  ['Accept', 'image/png'],
  ['Content-Encoding', 'gzip'],
  ['Cookie', 'a=b; __proto__=c'],
  ['Origin', 'null'],
  ['Origin', 'https://attacker.example'],
  ['Access-Control-Request-Method', 'DELETE'],
  ['Access-Control-Request-Headers', 'x, y'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['X-Forwarded-For', "'; drop"],
  ['Range', 'bytes=0-0,5-1'],
  ['If-None-Match', '*'],
  ['Expect', '100-continue'],
  ['Expect', 'something-else'],
  ['Upgrade', 'h2c'],
  ['HTTP2-Settings', 'AAMAAABkAAQAAP__'],
  ['Sec-WebSocket-Protocol', 'pairlay.v1'],
  ['X', 'y'.repeat(7_500)],
  ['__proto__', 'x'],
  ['constructor', 'x'],
]
