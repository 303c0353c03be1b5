import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import type { Answer, Party, Problem, View } from './client.ts'
import type { Device } from './device.ts'
import { hasNodes } from './relay.ts'

/** The error table of PROTOCOL.md, and which of it the suite has seen. */

export interface DocumentedError {
  readonly status: number | undefined
  readonly closeCode: number | undefined
  readonly retryable: boolean
}

export const ERRORS: ReadonlyMap<string, DocumentedError> = errorsOf(
  readFileSync(new URL('../../PROTOCOL.md', import.meta.url), 'utf8'),
)

/** `http code` and `close code` for each that a test has provoked. */
export const provoked = new Set<string>()

/** Checks that an answer is the documented refusal, as RFC 9457 has it. */
export function expectProblem({ status, headers, body }: Answer, code: string): void {
  const documented = documentedError(code)
  const { title, ...problem } = body as Problem
  expect(problem).toMatchObject({
    type: 'about:blank',
    status: documented.status,
    code,
    retryable: documented.retryable,
  })
  expect(title).toMatch(/^[A-Z].{10,}/)
  expect(status).toBe(documented.status)
  expect(headers.get('content-type')).toMatch(/^application\/problem\+json\b/)
  expect(headers.get('cache-control')).toBe('no-store')
  if (status === 401) expect(headers.get('www-authenticate')).toBe('Bearer')
  if (status === 429 || status === 503) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
  provoked.add(`http ${code}`)
}

/** Checks that a socket was closed with the documented code. The reason is the error code; only 1009 may lack it. */
export async function expectClosed(device: Device, code: string): Promise<void> {
  const { closeCode } = documentedError(code)
  const closed = await device.closed()
  const reason = closed.code === 1009 && closed.reason === '' ? '' : code
  expect(closed).toEqual({ code: closeCode, reason })
  provoked.add(`close ${code}`)
}

/** Sends a request that must be refused, and checks that no witness sees a difference afterwards. */
export async function expectRefused(
  code: string,
  witnesses: readonly Party[],
  request: () => Promise<Answer>,
): Promise<void> {
  const before = await statesOf(witnesses)
  expectProblem(await request(), code)
  expect(await statesOf(witnesses)).toEqual(before)
}

/**
 * Has a socket do what must close it, and checks that no witness sees a difference afterwards. That a socket is gone is
 * a difference in who is present, and in the version that counts it; nothing else may be, but for windows that end with it.
 */
export async function expectClosedFor(
  code: string,
  witnesses: readonly Party[],
  device: Device,
  act: () => void,
): Promise<void> {
  const before = (await statesOf(witnesses)).map(withoutSocket)
  act()
  await expectClosed(device, code)
  expect((await statesOf(witnesses)).map(withoutSocket)).toEqual(before)
}

/** A view without what time alone changes. */
export function stateOf({ expiresInMs: _, ...state }: View): Omit<View, 'expiresInMs'> {
  return state
}

async function statesOf(parties: readonly Party[]): Promise<Omit<View, 'expiresInMs'>[]> {
  const states = []
  for (const party of parties) states.push(stateOf(await party.view()))
  return states
}

function withoutSocket({ version: _, senderPresent: __, ...state }: ReturnType<typeof stateOf>) {
  return {
    ...state,
    receivers: state.receivers.map(({ present: _, ...row }) => row),
    channels: hasNodes ? state.channels.map(({ window: _, ...row }) => row) : state.channels,
  }
}

function documentedError(code: string): DocumentedError {
  const documented = ERRORS.get(code)
  if (!documented) throw new Error(`PROTOCOL.md has no error ${code}`)
  return documented
}

function errorsOf(protocol: string): Map<string, DocumentedError> {
  const number = (cell: string) => (cell === '–' ? undefined : Number(cell))
  const rows = protocol.matchAll(/^\| `([a-z_]+)` \| (\d{3}|–) \| (\d{4}|–) \| (yes|no) \|/gm)
  return new Map(
    [...rows].map(([, code, status, closeCode, retryable]) => [
      code,
      { status: number(status), closeCode: number(closeCode), retryable: retryable === 'yes' },
    ]),
  )
}
