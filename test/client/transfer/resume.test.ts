import { describe, expect, test } from 'vitest'
import type { List } from '../../../src/client/list.ts'
import { bytesSource, type Source } from '../../../src/client/source.ts'
import type { Entry } from '../../../src/client/transfer/entries.ts'
import { type Partials, save } from '../../../src/client/transfer/partials.ts'
import type { Transfers } from '../../../src/client/transfer/resume.ts'
import { pairingErrorOf } from '../support.ts'
import { nextOffer, pair } from './pair.ts'

const FILM = Buffer.from(Uint8Array.from({ length: 8_000_000 }, (_, index) => (index * 7) % 253))
const NOTES = Buffer.from('notes')

/** A place for partials in memory. `cutAfter` ends the connection once so many bytes were written. */
class Memory implements Partials {
  readonly parts = new Map<string, Map<number, Buffer>>()
  finished: Map<string, Buffer> | undefined
  cutAfter = Number.POSITIVE_INFINITY
  isUnreadable = false
  cut: () => Promise<void> = async () => {}
  #written = 0

  async tokens(): Promise<string[]> {
    return [...this.parts.keys()]
  }

  async open(token: string, entries: List<Entry>) {
    const files = this.parts.get(token) ?? new Map<number, Buffer>()
    this.parts.set(token, files)
    const isUnreadable = () => this.isUnreadable
    return {
      have: new Map([...files].map(([entry, { length }]) => [entry, length])),
      read: async function* (entry: number, bytes: number) {
        if (isUnreadable()) throw new Error('no such block')
        yield (files.get(entry) ?? Buffer.alloc(0)).subarray(0, bytes)
      },
      write: async (entry: number, offset: number, pieces: AsyncIterable<Uint8Array>) => {
        files.set(entry, (files.get(entry) ?? Buffer.alloc(0)).subarray(0, offset))
        for await (const piece of pieces) {
          files.set(entry, Buffer.concat([files.get(entry) ?? Buffer.alloc(0), piece]))
          this.#written += piece.length
          if (this.#written >= this.cutAfter) await this.cut()
        }
      },
      finish: async (skipped: readonly number[]) => {
        const kept = [...files].filter(([entry]) => !skipped.includes(entry))
        this.finished = new Map(kept.map(([entry, bytes]) => [entries.at(entry)?.path ?? '', bytes]))
        this.parts.delete(token)
      },
      leave: async () => {},
    }
  }
}

class Kept implements Transfers {
  readonly tokens = new Map<string, string>()
  tokensOf = async (keys: readonly string[]) =>
    [...this.tokens].flatMap(([token, kept]) => (kept === keys.join() ? [token] : [])).reverse()
  put = async (token: string, keys: readonly string[]) => void this.tokens.set(token, keys.join())
  remove = async (token: string) => void this.tokens.delete(token)
}

/** Both files, and from where the film was read. The first so many times it cannot be opened. */
function sources(film: Uint8Array = FILM, failures = 0): { list: Source[]; openedAt: number[] } {
  const openedAt: number[] = []
  const whole = bytesSource(film, 'film.mp4')
  const counted: Source = {
    ...whole,
    key: '/home/film.mp4',
    open: (offset) => {
      if (openedAt.push(offset ?? 0) <= failures) throw new Error('no such file')
      return whole.open(offset)
    },
  }
  return { list: [counted, { ...bytesSource(NOTES, 'notes'), key: '/home/notes' }], openedAt }
}

/** A session in which the film is offered and saved. Resolves with the errors of both sides. */
async function session(partials: Partials, transfers: Transfers, film?: Uint8Array, failures?: number) {
  const { sender, receiver, until, cut } = pair()
  if (partials instanceof Memory) partials.cut = cut
  const { list, openedAt } = sources(film, failures)
  const has: number[] = []
  const sending = pairingErrorOf(sender.send(list, { transfers, onAnswer: (bytes) => has.push(bytes) }))
  const offer = await until(nextOffer(receiver))
  const saving = pairingErrorOf(save(offer, partials))
  return { errors: await until(Promise.all([sending, saving])), openedAt, has }
}

describe('a transfer that was cut', () => {
  test('continues in the next session where it was, with the same bytes at the end', async () => {
    const partials = new Memory()
    const transfers = new Kept()
    partials.cutAfter = 1_000_000
    const first = await session(partials, transfers)
    expect(first.errors).toEqual(['session_lost', 'session_lost'])
    expect(transfers.tokens.size).toBe(1)
    partials.cutAfter = Number.POSITIVE_INFINITY
    const second = await session(partials, transfers)
    expect(second.errors).toEqual([undefined, undefined])
    expect(second.has[0]).toBeGreaterThanOrEqual(1_000_000)
    expect(second.openedAt).toEqual([0, second.has[0]])
    expect(partials.finished?.get('film.mp4')?.equals(FILM)).toBe(true)
    expect(partials.finished?.get('notes')?.equals(NOTES)).toBe(true)
    expect(transfers.tokens.size).toBe(0)
  })

  test('begins at 0 where the offerer’s file is another one by now', async () => {
    const partials = new Memory()
    const transfers = new Kept()
    partials.cutAfter = 1_000_000
    await session(partials, transfers)
    partials.cutAfter = Number.POSITIVE_INFINITY
    const changed = Buffer.from(FILM)
    changed[10] = 0
    const second = await session(partials, transfers, changed)
    expect(second.errors).toEqual([undefined, undefined])
    expect(second.has).toEqual([0])
    expect(partials.finished?.get('film.mp4')?.equals(changed)).toBe(true)
  })

  test('begins at 0 where what the taker has was changed', async () => {
    const partials = new Memory()
    const transfers = new Kept()
    partials.cutAfter = 1_000_000
    await session(partials, transfers)
    partials.cutAfter = Number.POSITIVE_INFINITY
    for (const files of partials.parts.values()) files.get(0)?.fill(0, 0, 1)
    for (const files of partials.parts.values()) files.get(0)?.fill(9, 5, 6)
    const second = await session(partials, transfers)
    expect(second.errors).toEqual([undefined, undefined])
    expect(second.has).toEqual([0])
    expect(partials.finished?.get('film.mp4')?.equals(FILM)).toBe(true)
  })

  test('begins at 0 where the offerer cannot read its file for the comparison', async () => {
    const partials = new Memory()
    const transfers = new Kept()
    partials.cutAfter = 1_000_000
    await session(partials, transfers)
    partials.cutAfter = Number.POSITIVE_INFINITY
    const second = await session(partials, transfers, FILM, 1)
    expect(second).toMatchObject({ errors: [undefined, undefined], has: [0], openedAt: [0, 0] })
    expect(partials.finished?.get('film.mp4')?.equals(FILM)).toBe(true)
  })

  test('begins at 0 where the taker cannot read what it has', async () => {
    const partials = new Memory()
    const transfers = new Kept()
    partials.cutAfter = 1_000_000
    await session(partials, transfers)
    partials.cutAfter = Number.POSITIVE_INFINITY
    partials.isUnreadable = true
    const second = await session(partials, transfers)
    expect(second).toMatchObject({ errors: [undefined, undefined], has: [0] })
    expect(partials.finished?.get('film.mp4')?.equals(FILM)).toBe(true)
  })

  test('is not known to an offerer that has forgotten it', async () => {
    const partials = new Memory()
    partials.cutAfter = 1_000_000
    await session(partials, new Kept())
    partials.cutAfter = Number.POSITIVE_INFINITY
    const second = await session(partials, new Kept())
    expect(second).toMatchObject({ errors: [undefined, undefined], has: [0] })
  })
})
