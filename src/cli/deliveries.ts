import { join } from 'node:path'
import {
  formatMatchNumber,
  type List,
  type PairedDevice,
  type Receipt,
  type Sender,
  type Source,
  totalOf,
} from '../client/index.ts'
import { KEPT_FROM_BYTES } from '../node/partial-folder.ts'
import { shown } from '../node/shown.ts'
import { TransferStore } from '../node/transfer-store.ts'
import { TTL_MAX_SECONDS } from '../protocol/limits.ts'
import { stateFolder } from './attempts.ts'
import { reasonOf } from './files.ts'
import { formatFiles, formatResult, percentOf } from './format.ts'
import { watchPresence } from './presence.ts'
import { Progress } from './progress.ts'
import type { Terminal } from './terminal.ts'

interface Deliveries {
  readonly sender: Sender
  readonly sources: List<Source>
  readonly approved: readonly PairedDevice[]
  readonly terminal: Terminal
  readonly connected: () => boolean
  /** Something has moved. */
  readonly onMove: () => void
  /** Aborted when this side leaves. */
  readonly signal: AbortSignal
}

/** Sends to all who are approved. Each is told of, and let go, as soon as it has everything. */
export async function deliver({ sender, sources, approved, ...run }: Deliveries): Promise<Receipt[]> {
  const { terminal, connected, onMove, signal } = run
  const done = new Set<string>()
  const expiresInMs = () => sender.expiresInMs
  const stopWatching = watchPresence({
    others: approved.map((device) => ({
      matchNumber: device.matchNumber,
      get present() {
        return device.present || done.has(device.matchNumber)
      },
    })),
    connected,
    expiresInMs,
    terminal,
  })
  const progress = new Progress({
    matchNumbers: approved.map(({ matchNumber }) => matchNumber),
    numbered: approved.length > 1,
    expiresInMs,
    advice: (ttl) =>
      ttl > TTL_MAX_SECONDS ? 'Send it in parts.' : `Send it again with --ttl ${ttl}, if the relay grants that.`,
    onMove,
    terminal,
  })
  const totalBytes = totalOf(sources)
  // A pipe has no key, and is alone.
  const isKept = sources.at(0)?.key !== undefined && (totalBytes ?? 0) >= KEPT_FROM_BYTES
  const reached = new Map<string, number>()
  const checked = new Set<string>()
  const onReceipt = (receipt: Receipt) => {
    const { matchNumber } = receipt
    done.add(matchNumber)
    progress.end(matchNumber, receipt.delivered ? receipt.bytes : undefined)
    report(receipt, isKept ? percentOf(reached.get(matchNumber) ?? 0, totalBytes ?? 0) : 0, terminal)
  }
  const who = approved.length === 1 ? 'the other side accepts it' : 'each device accepts it'
  terminal.say(`Approved. Waiting until ${who} …`)
  try {
    return await sender.send(sources, {
      ...transfersIn(terminal),
      onChecking: (at) => {
        checked.add(at.matchNumber)
        progress.check(at)
      },
      onAnswer: ({ matchNumber, hasBytes }) => {
        progress.answer(matchNumber, hasBytes)
        const afresh = checked.has(matchNumber) ? 'begins anew: it has changed since' : 'accepts'
        const how = hasBytes > 0 ? `goes on at ${percentOf(hasBytes, totalBytes ?? 0)} %` : afresh
        terminal.event('answer', { matchNumber, hasBytes }, `${formatMatchNumber(matchNumber)} ${how}.`)
      },
      onProgress: (at) => {
        reached.set(at.matchNumber, at.bytes)
        progress.update(at)
      },
      onSkip: ({ name, reason }) => {
        const why = reason === 'changed' ? 'it changed while it was sent' : 'it cannot be read'
        terminal.event('skipped', { path: name, reason }, `Not sent: ${shown(name)}, because ${why}.`)
      },
      onReceipt,
      signal,
      last: true,
    })
  } finally {
    progress.stop()
    stopWatching()
  }
}

/** The tokens with which transfers go on. A user without a folder to keep them in is told that none does. */
function transfersIn(terminal: Terminal): { readonly transfers?: TransferStore } {
  let told = false
  const onFailure = (error: NodeJS.ErrnoException, where = '') => {
    if (!told) terminal.say(`A transfer that is cut begins anew: ${where}${reasonOf(error)}.`)
    told = true
  }
  try {
    const path = join(stateFolder(), 'transfers')
    return { transfers: new TransferStore(path, (error) => onFailure(error, `${shown(path)}: `)) }
  } catch (error) {
    onFailure(error as NodeJS.ErrnoException)
    return {}
  }
}

/** Tells what became of an offer. `kept`: the percentage that the device has of it, and keeps. */
function report(receipt: Receipt, kept: number, terminal: Terminal): void {
  const { matchNumber } = receipt
  const device = formatMatchNumber(matchNumber)
  if (receipt.delivered) {
    const { bytes, ms, skipped } = receipt
    const without = skipped > 0 ? ` Without ${formatFiles(skipped)}.` : ''
    const line = `Delivered to ${device}: ${formatResult(bytes, ms)}.${without}`
    terminal.event('delivered', { matchNumber, bytes, ms: Math.round(ms), skipped }, line)
    return
  }
  const { code, cause } = receipt.error
  const isOfFile = code === 'source_failed' && typeof Object(cause).code === 'string'
  const why = isOfFile ? `: ${reasonOf(cause as NodeJS.ErrnoException)}.` : '.'
  const message = receipt.error.message.replace(/\.$/, why)
  const isFinal = ['declined', 'unsupported', 'unconfirmed', 'too_many'].includes(code)
  const [reached, again] =
    kept > 0 && !isFinal ? [`: it got to ${kept} %`, ' Send it again: it will go on from there.'] : ['', '']
  const what = code === 'unconfirmed' ? 'Not confirmed by' : 'Not delivered to'
  terminal.event('not_delivered', { matchNumber, code }, `${what} ${device}${reached}. ${message}${again}`)
}
