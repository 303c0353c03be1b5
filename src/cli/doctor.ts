import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { accessTokenFrom } from './access-token.ts'
import { type Answer, ask, codeIn } from './doctor/answers.ts'
import { checkCertificate } from './doctor/certificate.ts'
import { adviceFor, type Finding } from './doctor/finding.ts'
import {
  checkAddress,
  checkBurst,
  checkClock,
  checkHealth,
  checkOrigin,
  checkUpgrade,
  reasonOf,
} from './doctor/front.ts'
import { checkTransfer, failed } from './doctor/transfer.ts'
import { EXIT } from './exit.ts'
import { formatBytes } from './format.ts'
import { relayAddress } from './relay.ts'

export interface DoctorOptions {
  readonly accessTokenFile?: string
  /** An origin whose pages should be let in. */
  readonly origin?: string
  /** Seconds of silence, or true for a minute. */
  readonly idle?: number | true
}

/** Frames of full size that go each way. */
const FRAMES = 3
/** How long a proxy that limits rates is left alone, in milliseconds. */
const RECOVERY_MS = 2_000

/** `pairlay doctor`: looks at a relay through its proxy, prints a line for each thing, and resolves with the exit code. */
export async function doctor(url: string, options: DoctorOptions): Promise<number> {
  const relay = relayAddress(url, 'This address')
  const accessToken = await accessTokenFrom(options.accessTokenFile, relay)
  let faults = 0
  for await (const { check, fault, says, server } of examine(relay, { ...options, accessToken })) {
    if (fault !== undefined) faults++
    process.stdout.write(`${fault === undefined ? 'good ' : 'WRONG'}  ${check}: ${says}\n`)
    if (fault !== undefined) for (const line of adviceFor(fault, server)) process.stdout.write(`         ${line}\n`)
  }
  process.stdout.write(faults === 0 ? 'Nothing is wrong.\n' : `${faults} of these want a change.\n`)
  return faults === 0 ? EXIT.delivered : EXIT.failed
}

type Look = DoctorOptions & { readonly accessToken?: string | undefined }

/** Looks at a relay, one thing after the other, and no further where nothing more can be seen. */
export async function* examine(relay: string, options: Look): AsyncGenerator<Finding & { readonly server: string }> {
  const certificate = await checkCertificate(relay, Date.now())
  const health = await checkHealth(relay)
  const { server } = health
  yield { ...certificate, server }
  // With TLS that does not come about every call fails for that one reason.
  const isKnown = certificate.fault !== undefined && certificate.fault !== 'no_tls'
  if (!(isKnown && health.fault === 'no_answer')) yield health
  if (health.fault !== undefined) return
  try {
    for await (const finding of examineCalls(relay, options)) yield { ...finding, server }
  } catch (error) {
    yield { check: 'calls', fault: 'no_answer', says: `the next one got no answer: ${reasonOf(error)}.`, server }
  }
}

/** Looks at what a relay that answers does. Throws where one of the calls gets no answer. */
async function* examineCalls(relay: string, { accessToken, origin, idle }: Look): AsyncGenerator<Finding> {
  yield await checkClock(relay, Date.now)
  yield await checkAddress(relay)
  if (origin !== undefined) yield await checkOrigin(relay, origin)
  const rates = await checkBurst(relay)
  yield rates
  // A proxy that has just refused calls would refuse the next ones too, and each would look broken.
  const recovered = () => (rates.fault === undefined ? undefined : delay(RECOVERY_MS))
  await recovered()
  const created = await create(relay, accessToken)
  yield created.finding
  const way = await checkUpgrade(relay, created.sessionId)
  yield way
  if (created.frameBytes === 0) return
  await recovered()
  const upgrades = way.fault !== 'no_upgrade'
  // Over HTTP a proxy that limits rates makes a transfer take minutes.
  const ways = [...(upgrades ? [false] : []), ...(upgrades && rates.fault ? [] : [true])]
  const silence = idle === undefined ? 0 : (idle === true ? 60 : idle) * 1_000
  for (const [at, overHttp] of ways.entries()) {
    const bytes = FRAMES * created.frameBytes
    try {
      const idleMs = at === 0 ? silence : 0
      yield* checkTransfer({ relay, accessToken, bytes, overHttp, idleMs })
    } catch (error) {
      yield failed(overHttp, error)
    }
  }
}

/** Opens a session for its limits, and ends it. */
async function create(relay: string, accessToken: string | undefined) {
  const name = () => randomBytes(16).toString('base64url')
  const headers = { 'content-type': 'application/json', ...authorization(accessToken) }
  const body = { clientId: name(), senderCode: name() }
  const answer = await ask(`${relay}/v1/sessions`, { method: 'POST', headers }, body)
  const { sessionId, token, limits } = answer.json ?? {}
  if (answer.status !== 201 || !isWord(sessionId) || !isWord(token)) {
    const says = `the relay opens no session: ${codeIn(answer) ?? `HTTP ${answer.status}`}.`
    const fault =
      answer.status === 401 || answer.status === 403 ? ('creating_refused' as const) : ('no_transfer' as const)
    return { sessionId: name(), frameBytes: 0, finding: { check: 'limits', fault, says } }
  }
  await ask(`${relay}/v1/sessions/${sessionId}`, { method: 'DELETE', headers: authorization(token) })
  return { sessionId, frameBytes: frameBytesIn(limits), finding: { check: 'limits', says: wordsFor(limits) } }
}

/** Reports whether something is fit for a path and a header. */
function isWord(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{1,512}$/.test(value)
}

function authorization(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
}

function frameBytesIn(limits: unknown): number {
  const { maxFrameBytes } = (limits ?? {}) as Readonly<Record<string, unknown>>
  return typeof maxFrameBytes === 'number' ? Math.min(maxFrameBytes, 1_048_576) : 0
}

function wordsFor(limits: unknown): string {
  const { windowBytes, ttlSeconds } = (limits ?? {}) as NonNullable<Answer['json']>
  const window = formatBytes(Number(windowBytes))
  return `frames of ${formatBytes(frameBytesIn(limits))}, windows of ${window}, sessions of ${Number(ttlSeconds)} s.`
}
