import { expect, test } from 'vitest'
import { adviceFor } from '../../src/cli/doctor/finding.ts'
import { judgeAddress } from '../../src/cli/doctor/front.ts'
import { RelayProgram, run } from './support.ts'

const seen = (range: string, ...warnings: string[]) => ({ family: 4, range, warnings })

test('an address that an attacker has made up is told where the relay believes it, and not on its own machine', () => {
  const attacker = seen('reserved')
  expect(judgeAddress(seen('private'), attacker).fault).toBe('address_forged')
  expect(judgeAddress(seen('unicast'), seen('unicast')).fault).toBeUndefined()
  expect(judgeAddress(seen('loopback'), attacker).fault).toBeUndefined()
  expect(judgeAddress(undefined, attacker)).toEqual({ says: expect.stringContaining('older') })
})

test('a header that an attacker fills with commands for a terminal is not shown as it is', () => {
  const { says } = judgeAddress(seen('private', '\u001b[2Jattacker'), undefined)
  expect(says).not.toMatch(/\p{Cc}/u)
})

test('what to change is said for the proxy that names itself, and for each of them when none does', () => {
  expect(adviceFor('host_lost', 'nginx/1.22.1')).toEqual(['nginx: proxy_set_header Host $http_host;'])
  expect(adviceFor('host_lost', '')).toHaveLength(4)
})

test('`pairlay doctor` finds nothing wrong with a relay on this machine, and exits with 1 where there is none', async () => {
  const relay = await RelayProgram.start()
  const { exitCode, stdout } = await run(['doctor', relay.url])
  expect([exitCode, String(stdout)]).toEqual([0, expect.stringMatching(/^good {3}TLS: .*\nNothing is wrong\.\n$/s)])
  const none = await run(['doctor', 'http://127.0.0.1:1'])
  expect([none.exitCode, String(none.stdout)]).toEqual([1, expect.stringContaining('WRONG  health: nothing answers')])
})
