import { ENDS } from './ends.ts'
import type { State, Transfer } from './flow/state.ts'
import { count, percent, timeOfDay } from './format.ts'
import { fill, WORDS } from './words.ts'

/** Words for a screen reader when something has changed, beside the heading of a new screen. */
export interface Announcement {
  /** Said when there is a pause. */
  readonly polite?: string | undefined
  /** Said at once. */
  readonly assertive?: string | undefined
}

/** Left of a code's time, in seconds, when it is said. */
const SAID_AT_SECONDS = [120, 30]
const QUARTERS = 4

export function announcement(before: State, after: State): Announcement {
  if (isAskedAnew(before, after))
    return { assertive: after.pairing?.typing === 'several' ? WORDS.several : WORDS.question }
  if (after.screen.is === 'end' && before.screen.is !== 'end') return { assertive: ENDS[after.screen.code].title }
  if (after.left !== undefined && before.left === undefined) return { assertive: ENDS[after.left].title }
  const said = [...ofItems(before, after), ...ofPairing(before, after), ...ofPeers(before, after)]
  for (const transfer of after.transfers) {
    const words = ofTransfer(
      before.transfers.find(({ id }) => id === transfer.id),
      transfer,
    )
    if (words !== undefined) said.push(words)
  }
  return { polite: said.length > 0 ? said.join(' ') : undefined }
}

/** Reports whether one more device waits to be let in. */
export function isAskedAnew(before: State, after: State): boolean {
  return (after.pairing?.questions.length ?? 0) > (before.pairing?.questions.length ?? 0)
}

/** Words about a code's time when one second of it passes. */
export function countdown(beforeMs: number, afterMs: number): string | undefined {
  const at = SAID_AT_SECONDS.find((seconds) => beforeMs > seconds * 1_000 && afterMs <= seconds * 1_000)
  if (at === undefined) return undefined
  const unit = at >= 60 ? ([at / 60, 'minute'] as const) : ([at, 'second'] as const)
  const style = { style: 'unit', unit: unit[1], unitDisplay: 'long' } as const
  return fill('goodFor', { time: new Intl.NumberFormat(undefined, style).format(unit[0]) })
}

function ofItems(before: State, after: State): string[] {
  const { items, unreadable } = after
  if (unreadable !== undefined && unreadable !== before.unreadable) return [fill('unreadable', { name: unreadable })]
  if (items.length === 0 || items.length === before.items.length || after.screen.is !== 'chosen') return []
  return [items.length === 1 ? WORDS.oneFileToSend : fill('filesToSend', { n: count(items.length) })]
}

function ofPairing(before: State, after: State): string[] {
  const said: string[] = []
  const number = after.joining?.number
  if (number !== undefined && number !== before.joining?.number) said.push([...number].join(' '))
  if (after.joining?.isSenderAway && !before.joining?.isSenderAway) said.push(WORDS.senderAway)
  const [old, now] = [before.pairing, after.pairing]
  if (now?.isRenewed && old && !old.isRenewed) said.push(WORDS.newCode)
  if (now?.isUsedUp && old && !old.isUsedUp) said.push(WORDS.usedUp)
  if (now && old && now.wrongCodes > old.wrongCodes) said.push(wrongCodes(now.wrongCodes))
  if (now?.isUnknownNumber && old && !old.isUnknownNumber) said.push(WORDS.noSuchNumber)
  if (now && old && now.questions.length < old.questions.length && now.admitted === old.admitted)
    said.push(WORDS.waiting)
  return said
}

export function wrongCodes(n: number): string {
  return n === 1 ? WORDS.oneWrongCode : fill('wrongCodes', { n: count(n) })
}

function ofPeers(before: State, after: State): string[] {
  const said: string[] = []
  const isSession = !['start', 'chosen', 'text', 'enter', 'scan', 'end'].includes(after.screen.is)
  if (isSession && after.connection !== before.connection) {
    if (after.connection === 'reconnecting') said.push(WORDS.lost)
    if (after.connection === 'fallback') said.push(WORDS.fallback)
    if (before.connection === 'reconnecting' && after.connection === 'connected') said.push(WORDS.connected)
  }
  for (const peer of after.peers) {
    const old = before.peers.find(({ id }) => id === peer.id)
    if (!old) continue
    if (peer.isAway && !old.isAway) said.push(awayWords(after.sessionUntil))
    if (!peer.isAway && old.isAway && !peer.hasLeft) said.push(WORDS.itIsBack)
    if (peer.hasLeft && !old.hasLeft) said.push(WORDS.left)
  }
  return said
}

export function awayWords(until: number | undefined): string {
  return until === undefined ? WORDS.otherAway : fill('otherAwayUntil', { time: timeOfDay(until) })
}

function ofTransfer(before: Transfer | undefined, { way, stage, bytes, names, isText }: Transfer): string | undefined {
  const name = isText ? WORDS.aText : names.join(', ')
  if (!before) return way === 'in' ? fill('arriving', { name }) : undefined
  if (stage.is === 'running' && before.stage.is === 'running' && bytes) {
    const quarter = (done: number) => Math.floor((done * QUARTERS) / bytes)
    const isNew = quarter(stage.done) > quarter(before.stage.done) && quarter(stage.done) < QUARTERS
    return isNew ? percent(quarter(stage.done), QUARTERS) : undefined
  }
  if (stage.is === before.stage.is) return undefined
  switch (stage.is) {
    case 'delivered':
      return WORDS.deliveredSaid
    case 'text':
      return WORDS.receivedText
    case 'received':
      return WORDS.receivedSaid
    case 'withdrawn':
      return WORDS.withdrawn
    case 'failed':
      return ENDS[stage.code].title
    default:
      return undefined
  }
}
