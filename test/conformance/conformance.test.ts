import { afterAll, describe, expect, test } from 'vitest'
import { breaches } from './breaches.ts'
import { capacity } from './capacity.ts'
import { startDeadlines } from './deadlines.ts'
import { ERRORS, provoked } from './documented.ts'
import { frames } from './frames.ts'
import { ownCrypto } from './own-crypto.ts'
import { pairing } from './pairing.ts'
import { polling } from './polling.ts'
import { refusals } from './refusals.ts'
import { isForeign, isOverHttp, openRelay } from './relay.ts'
import { requests } from './requests.ts'
import { resume } from './resume.ts'
import { roles } from './roles.ts'
import { script } from './script.ts'
import { sockets } from './sockets.ts'
import { views } from './views.ts'
import { windows } from './windows.ts'

/** Errors of PROTOCOL.md that no client can bring about, and why. */
const OUT_OF_REACH: Readonly<Record<string, string>> = {
  'http rate_limited': 'takes a flood, and test/server has it',
  'http access_denied': 'takes a relay that not everybody may use, and test/server has it',
  'close forbidden': 'reserved: no frame leads to it',
  'http internal': 'the relay would have to fail',
  'close internal': 'the relay would have to fail',
  'http resume_required': 'takes a minute of absence, and a socket is told too',
  'http unavailable': 'takes a relay of several nodes that loses its store',
  'close unavailable': 'takes a relay of several nodes that loses its store',
  ...(isForeign
    ? {
        'http at_capacity': 'takes a relay with small settings',
        'http going_away': 'takes a relay that stops',
        'close going_away': 'takes a relay that stops',
      }
    : {}),
}

const relay = await openRelay()
afterAll(() => relay.stop())

// Over HTTP there are no sockets whose frames, windows and deadlines could be looked at. What takes their place is in `polling`.
const deadlines = isOverHttp ? undefined : startDeadlines(relay)
pairing(relay)
requests(relay)
roles(relay)
refusals(relay)
views(relay)
polling(relay)
ownCrypto(relay)
if (!isOverHttp) {
  script(relay)
  sockets(relay)
  frames(relay)
  windows(relay)
  resume(relay)
  breaches(relay)
  capacity()
}
deadlines?.()

// Last, when all of the above has run.
describe('the suite as a whole', () => {
  test.skipIf(isOverHttp)('it has provoked every documented error that a client can, on each way it can come', () => {
    const documented = [...ERRORS].flatMap(([code, { status, closeCode }]) => [
      ...(status ? [`http ${code}`] : []),
      ...(closeCode ? [`close ${code}`] : []),
    ])
    expect([...provoked, ...Object.keys(OUT_OF_REACH)].sort()).toEqual(documented.sort())
  })

  test('the relay has logged no failure of its own', () => {
    expect(relay.failures).toEqual([])
  })
})
