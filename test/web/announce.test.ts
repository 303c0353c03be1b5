import { describe, expect, test } from 'vitest'
import { announcement, countdown } from '../../src/web/announce.ts'
import { choicesFor, randomBelow } from '../../src/web/flow/choices.ts'
import { next } from '../../src/web/flow/next.ts'
import { type Event, START, type Transfer } from '../../src/web/flow/state.ts'
import { shownName } from '../../src/web/format.ts'
import { WORDS } from '../../src/web/words.ts'

const PEER = { id: 20, name: 'Firefox', number: '482913', isAway: false, hasLeft: false }
const OUT: Transfer = {
  ...{ id: 30, peer: 20, way: 'out', names: ['a.txt'], count: 1, bytes: 100, isText: false },
  stage: { is: 'running', done: 0, perSecond: undefined },
}

/** Words that are said after the last of these events. */
function said(...events: Event[]) {
  const before = events.slice(0, -1).reduce(next, START)
  const [last] = events.slice(-1)
  return announcement(before, last ? next(before, last) : before)
}

const CONNECTED: Event[] = [{ is: 'joining' }, { is: 'paired', peer: PEER }]
const CODE = { code: 'K7QM3-XPDT28', link: '', goodUntil: 0, isFollowed: true, isRenewed: false }
const SHOWN: Event[] = [{ is: 'opening' }, { is: 'opened', pairing: CODE }]
const ASKED = { id: 5, name: undefined, number: '482913', choices: [] }

describe('a screen reader', () => {
  test('is told at once that a device waits, and of an end', () => {
    expect(said(...SHOWN, { is: 'question', question: ASKED, mustType: false })).toEqual({ assertive: WORDS.question })
    expect(said(...SHOWN, { is: 'ended', code: 'expired', role: 'sender' }).assertive).toBe('The time is over')
  })

  test('is told the digits of the own number, and how far a transfer is', () => {
    expect(said({ is: 'joining' }, { is: 'verified', number: '482913' }).polite).toBe('4 8 2 9 1 3')
    const at = (done: number): Event => ({ is: 'stage', transfer: 30, stage: { is: 'running', done, perSecond: 1 } })
    const running: Event[] = [...CONNECTED, { is: 'transfer', transfer: OUT }]
    expect(said(...running, at(24)).polite).toBeUndefined()
    expect(said(...running, at(26)).polite).toMatch(/^25\s?%$/)
    expect(said(...running, at(26), at(49)).polite).toBeUndefined()
    expect(said(...running, at(100)).polite).toBeUndefined()
  })

  test('is told that the other device went away, and is back', () => {
    const away = (isAway: boolean): Event => ({ is: 'peer', peer: 20, change: { isAway } })
    expect(said(...CONNECTED, away(true)).polite).toBe(WORDS.otherAway)
    expect(said(...CONNECTED, away(true), away(false)).polite).toBe(WORDS.itIsBack)
    const senderAway: Event = { is: 'sender_presence', away: true }
    expect(said({ is: 'joining' }, { is: 'verified', number: '482913' }, senderAway).polite).toBe(WORDS.senderAway)
  })

  test('is told of the time of a code at two minutes and at half a minute', () => {
    expect(countdown(120_500, 119_500)).toContain('2')
    expect(countdown(30_500, 29_500)).toContain('30')
    expect(countdown(119_500, 118_500)).toBeUndefined()
  })
})

describe('a question', () => {
  test('has the number among two others that no waiting device shows', () => {
    const draws = [482_913, 111_111, 7, 8, 0, 0, 0]
    const choices = choicesFor('482913', ['482913', '111111'], () => draws.shift() ?? 0)
    expect([...choices].sort()).toEqual(['000007', '000008', '482913'])
  })

  test('draws each number below a bound', () => {
    const drawn = new Set(Array.from({ length: 500 }, () => randomBelow(3)))
    expect([...drawn].sort()).toEqual([0, 1, 2])
  })

  test.each([
    ['Firefox on Linux', 'Firefox on Linux'],
    ['your number is 482913', 'your number is …'],
    ['482 913', '…'],
    ['4-8-2-9-1-3', '…'],
    ['٤٨٢٩١٣', '…'],
    ['a\u202eb\u0000c', 'a b c'],
    [' \n ', undefined],
    [undefined, undefined],
    ['x'.repeat(60), `${'x'.repeat(39)}…`],
  ])('shows the name %j as %j', (name, shown) => {
    expect(shownName(name)).toBe(shown)
  })
})
