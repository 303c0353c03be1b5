import { shown } from '../../node/shown.ts'
import { unusedProxy } from '../relay.ts'
import { type Answer, ask, codeIn, upgrade } from './answers.ts'
import type { Finding } from './finding.ts'

/** Calls that are made at once: as many as a page makes when it opens, and some. */
const BURST = 24
/** A clock that is further away makes certificates look wrong. */
const CLOCK_MS = 60_000
/** An address of a documentation network (RFC 5737), which no client has. */
const NOBODY = '203.0.113.7'

/** Says whether a relay answers, and what is there otherwise. `server` is what the answer says in `Server`. */
export async function checkHealth(relay: string): Promise<Finding & { readonly server: string }> {
  const check = 'health'
  try {
    const answer = await ask(`${relay}/version`)
    const server = shown(answer.header('server').slice(0, 80))
    const found = judgeVersion(relay, answer)
    if (found.fault !== undefined) return { check, server, ...found }
    const ready = await ask(`${relay}/readyz`)
    if (ready.status === 200) return { check, server, ...found }
    return {
      check,
      server,
      fault: 'not_ready',
      says: `the relay takes no sessions now (${codeIn(ready) ?? ready.status}).`,
    }
  } catch (error) {
    return { check, server: '', fault: 'no_answer', says: `nothing answers: ${reasonOf(error)}.${unusedProxy(relay)}` }
  }
}

function judgeVersion(relay: string, answer: Answer): Omit<Finding, 'check'> {
  const { status, json } = answer
  if (status === 200 && json?.name === 'pairlay') {
    return {
      says: `Pairlay ${shown(String(json.version))} answers, speaks ${shown(String(json.protocol))} and is ready.`,
    }
  }
  if (status >= 300 && status < 400) {
    const location = shown(
      answer
        .header('location')
        .slice(0, 200)
        .replace(/\/version$/, ''),
    )
    return { fault: 'redirect', says: `this address leads to ${location || 'another one'} (HTTP ${status}).` }
  }
  const code = codeIn(answer)
  if (code === 'forbidden') return { fault: 'name_refused', says: 'the relay does not answer to this name.' }
  if (code === 'not_found' && new URL(relay).pathname !== '/')
    return { fault: 'path_kept', says: 'the proxy hands on the path that is in front: the relay wants it taken off.' }
  if (code !== undefined && status === 503)
    return { fault: 'not_ready', says: `the relay takes no calls now (${code}).` }
  if (code === 'invalid_request')
    return { fault: 'proxy_header', says: 'the relay does not expect what the proxy begins with.' }
  if (status === 401)
    return { fault: 'password', says: 'a proxy asks for a password, which no browser page or SDK gives.' }
  if (status === 502 || status === 503 || status === 504)
    return { fault: 'bad_gateway', says: `a proxy answers, and it reaches no relay (HTTP ${status}).` }
  return { fault: 'not_a_relay', says: `something else answers here (HTTP ${status}).` }
}

/** Says how the relay sees the address of this machine. */
export async function checkAddress(relay: string): Promise<Finding> {
  const seen = await ask(`${relay}/v1/address`)
  const forged = await ask(`${relay}/v1/address`, { headers: { 'x-forwarded-for': NOBODY } })
  return { check: 'address', ...judgeAddress(seen.json, forged.json, seen.header('server')) }
}

/** Judges the answer to a plain call, and to one with an address of nobody in X-Forwarded-For. `server` is the proxy's name. */
export function judgeAddress(seen: Answer['json'], forged: Answer['json'], server = ''): Omit<Finding, 'check'> {
  if (typeof seen?.range !== 'string' || !Array.isArray(seen.warnings))
    return { says: 'this relay is older, and does not say how it sees addresses.' }
  const { range, family, warnings } = seen
  if (warnings.includes('stranger'))
    return {
      fault: 'proxy_not_trusted',
      says: 'the relay does not trust the proxy: everybody behind it counts as one.',
    }
  if (warnings.includes('silent') || warnings.includes('unreadable'))
    return { fault: 'address_missing', says: 'the proxy names no client address: everybody behind it counts as one.' }
  const [unread] = warnings.filter((each) => each !== 'kept')
  if (unread !== undefined) {
    const says = `${shown(String(unread))} names another address, and the relay does not read it.`
    return { fault: 'address_elsewhere', says }
  }
  // On the relay's own machine, whoever asks is trusted as the proxy is.
  if (range !== 'loopback' && range !== forged?.range && forged?.range === 'reserved')
    return { fault: 'address_forged', says: 'the relay believes an address that this machine has made up.' }
  const sees = `the relay sees a ${shown(range)} address (IPv${family === 4 ? 4 : 6}).`
  // Apache lets idle connections stand, and with a ttl uses none again that is older.
  if (warnings.includes('kept') && /^apache/i.test(server))
    return { says: `${sees} Apache keeps idle connections to it: ProxyPass … ttl=60 has it use none of them again.` }
  if (warnings.includes('kept'))
    return {
      fault: 'kept_too_long',
      says: 'the proxy keeps idle connections for longer than the relay: some calls get 502.',
    }
  return { says: sees }
}

/** Says whether a WebSocket passes, and whether one of the relay's own page does. */
export async function checkUpgrade(relay: string, sessionId: string): Promise<Finding> {
  const check = 'WebSocket'
  const plain = await upgrade(relay, sessionId).catch(reasonOf)
  if (plain !== 101) {
    const says = `none passes (${answerIn(plain)}): transfers go over HTTP, which is slower.`
    return { check, fault: 'no_upgrade', says }
  }
  const own = await upgrade(relay, sessionId, new URL(relay).origin).catch(reasonOf)
  if (own === 101) return { check, says: 'it passes.' }
  return { check, fault: 'host_lost', says: 'it passes, but not from the relay’s own page: the proxy changes Host.' }
}

/** Says whether pages of another origin may call. */
export async function checkOrigin(relay: string, origin: string): Promise<Finding> {
  const check = 'origin'
  const headers = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
  const answer = await ask(`${relay}/v1/sessions`, { method: 'OPTIONS', headers })
  const allowed = answer.header('access-control-allow-origin')
  if (allowed === origin || allowed === '*') return { check, says: `pages of ${origin} may call.` }
  return { check, fault: 'origin_refused', says: `pages of ${origin} may not call.` }
}

/** Says whether something in front of the relay refuses calls that come at once. */
export async function checkBurst(relay: string): Promise<Finding> {
  const check = 'rates'
  const call = async () => {
    const { status, json } = await ask(`${relay}/healthz`)
    return status === 200 && json?.status === 'alive' ? [] : [status]
  }
  const calls = Array.from({ length: BURST }, () => call().catch((error) => [reasonOf(error)]))
  const [first, ...others] = (await Promise.all(calls)).flat()
  if (first === undefined) return { check, says: `${BURST} calls at once are answered.` }
  const says = `of ${BURST} calls at once the proxy refuses ${1 + others.length} (${answerIn(first)}).`
  return { check, fault: 'rates', says }
}

function answerIn(statusOrReason: number | string): string {
  return typeof statusOrReason === 'number' ? `HTTP ${statusOrReason}` : statusOrReason
}

/** Says how far the clock of the relay, or of its proxy, is from this one. */
export async function checkClock(relay: string, now: () => number): Promise<Finding> {
  const check = 'clock'
  const date = Date.parse((await ask(`${relay}/healthz`)).header('date'))
  if (Number.isNaN(date)) return { check, says: 'the answer has no date.' }
  const seconds = Math.round(Math.abs(date - now()) / 1_000)
  if (seconds * 1_000 <= CLOCK_MS) return { check, says: 'it agrees with this one.' }
  return { check, fault: 'clock', says: `it is ${seconds} s away from this one.` }
}

/** Returns why a call got no answer, in a word. */
export function reasonOf(error: unknown): string {
  for (let each = error; each instanceof Error; each = each.cause) {
    if (each.name === 'TimeoutError') return 'no answer in time'
    // Of a call that is given up, the cause says why.
    if ('code' in each && typeof each.code === 'string' && each.code !== 'ABORT_ERR') return each.code
  }
  return 'the connection failed'
}
